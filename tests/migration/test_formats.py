"""Formats of packages that are not installed here, and checkpoints that are of none."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.migration import FORMATS, migrated
from schuss.migration.bitsandbytes import decoded

MOMENTS = {"exp_avg": torch.full((2,), 0.25), "exp_avg_sq": torch.full((2,), 0.5)}


def loaded(name: str, state: dict[str, Any], **group: Any) -> Any:
    """Return an optimizer of one parameter, and its state, after loading what was migrated."""
    param = nn.Parameter(torch.ones(2))
    optimizer = getattr(schuss, FORMATS[name].algorithm)([param], lr=0.5, foreach=False)
    saved = {"state": {0: state}, "param_groups": [{"params": [0], **group}]}
    optimizer.load_state_dict(migrated(name, saved))
    return optimizer.param_groups[0], optimizer.state[param]


@pytest.mark.parametrize(("name", "decoupled"), [("FlashAdam", False), ("FlashAdamW", True)])
def test_flashoptim(name, decoupled):
    state = {**MOMENTS, "step": torch.tensor(7, dtype=torch.int64)}
    hyper = {"lr": 0.125, "betas": (0.5, 0.75), "eps": 1e-4, "weight_decay": 0.25}
    own_way = {"master_bytewidth": 0, "quantize": False, "initial_lr": 0.125}
    group, found = loaded(f"flashoptim.{name}", state, **hyper, **own_way)
    assert group["decoupled_weight_decay"] is decoupled
    assert {key: group[key] for key in hyper} == hyper
    assert "master_bytewidth" not in group
    assert found["step"] == 7
    assert torch.equal(found["exp_avg"], MOMENTS["exp_avg"])


@pytest.mark.parametrize("more", [{"exp_avg::quantized": 1}, {"error_bits": 1}], ids=str)
def test_compressed_state_of_flashoptim_says_how_to_save_it(more):
    with pytest.raises(ValueError, match="compress_state_dict=False"):
        loaded("flashoptim.FlashAdamW", {**MOMENTS, **more, "step": torch.tensor(7)}, lr=0.125)


class Codes(Tensor):
    """A tensor that is kept in codes, as those of torchao are."""

    codes: Tensor

    def dequantize(self, output_dtype: Any = None) -> Tensor:
        return self.codes.float() / 4


def test_torchao_decodes_itself_and_its_rate_becomes_a_number():
    kept = torch.zeros(2).as_subclass(Codes)
    kept.codes = torch.tensor([1, -2], dtype=torch.int8)
    state = {**MOMENTS, "exp_avg": kept, "step": torch.tensor(7.0)}
    group, found = loaded("torchao.AdamW8bit", state, lr=torch.tensor(0.125), amsgrad=False)
    assert type(group["lr"]) is float
    assert found["exp_avg"].tolist() == [0.25, -0.5]


def test_blocks_of_bitsandbytes_have_a_scale_each():
    state = {
        "state1": torch.tensor([0, 1] * 200, dtype=torch.uint8).reshape(4, 100),
        "qmap1": torch.tensor([0.5, -1.0]),
        "absmax1": torch.tensor([1.0, 8.0]),
    }
    found = decoded(state, 1)
    # The first 256 numbers, two rows and 56 of the third, have the first scale.
    assert found[2, 54:58].tolist() == [0.5, -1.0, 4.0, -8.0]
    with pytest.raises(ValueError, match="one scale for each tensor"):
        decoded({"state1": state["state1"], "max1": 1.0}, 1)


def test_an_estimate_is_not_loaded_without_the_next_one():
    saved = {"state": {}, "param_groups": [{"params": [0], "d": 0.5, "d0": 0.5, "d_coef": 1.0}]}
    optimizer = schuss.Prodigy([nn.Parameter(torch.ones(2))])
    with pytest.raises(ValueError, match=r"'d' only: .*migrated\('PACKAGE.Prodigy', saved\)"):
        optimizer.load_state_dict(saved)


def test_weights_of_which_only_the_mean_was_saved_are_refused():
    group = {"k": 3, "lr_max": 0.5, "weight_sum": 1.0, "train_mode": False}
    with pytest.raises(ValueError, match=r"saved after optimizer.eval\(\)"):
        loaded("schedulefree.SGDScheduleFree", {"z": torch.zeros(2)}, **group)


@pytest.mark.parametrize(
    ("name", "message"),
    [("timm.Lamp", "did you mean timm.Lamb"), ("x", "there are prodigyopt.Prodigy")],
)
def test_an_unknown_name_is_answered_with_those_that_there_are(name, message):
    with pytest.raises(ValueError, match=message):
        migrated(name, {"state": {}, "param_groups": []})


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [
        ("prodigyopt.Prodigy", MOMENTS, r"parameter 0 .* of another optimizer: KeyError\('s'\)"),
        ("bitsandbytes.Adam", MOMENTS, r"KeyError\('state1'\)"),
        ("schedulefree.AdamWScheduleFree", MOMENTS, r"KeyError\('k'\)"),
        ("dadaptation.DAdaptSGD", {}, r"group 0 .* of another optimizer: KeyError\('d'\)"),
    ],
)
def test_a_state_of_another_optimizer_is_refused(name, state, message):
    with pytest.raises(ValueError, match=message):
        loaded(name, state, lr=0.5)


def test_no_checkpoint_is_refused():
    with pytest.raises(TypeError, match="is of type list"):
        migrated("timm.Lion", [])
    with pytest.raises(TypeError, match="state of parameter 0 .* is None; it must be a dictionary"):
        migrated("timm.Lion", {"state": {0: None}, "param_groups": [{"params": [0]}]})


def test_an_option_that_is_a_transform_here_is_told_once_for_each_group():
    group = {"lr": 0.5, "betas": (0.9, 0.99), "weight_decay": 0.0, "caution": True}
    groups = [{**group, "params": [0]}, {**group, "params": [1], "caution": False}]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        migrated("timm.Lion", {"state": {}, "param_groups": groups})
    [warning] = told
    assert "group 0 of timm.Lion was saved with caution=True" in str(warning.message)
    assert warning.filename == __file__


def test_a_migrated_checkpoint_is_of_its_rule_only_and_keeps_what_users_noted():
    group = {"lr": 0.5, "betas": (0.9, 0.99), "weight_decay": 0.0, "layer": "decoder"}
    saved = {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{**group, "params": [0]}]}
    made = migrated("timm.Lion", {**saved, "param_groups": [{**group, "params": [0]}]})
    assert made["param_groups"][0]["layer"] == "decoder"
    with pytest.raises(ValueError, match="of the rule of Lion, and Signum"):
        schuss.Signum([nn.Parameter(torch.ones(2))]).load_state_dict(made)

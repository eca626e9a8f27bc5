"""Formats of packages that are not installed here, and checkpoints that are of none."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.migration import FORMATS, migrated
from schuss.migration.bitsandbytes import buffer
from schuss.storage.codecs import CODECS

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


def compressed(dtype: torch.dtype) -> dict[str, Any]:
    """Return a state of flashoptim in 8 bits, as it is saved beside parameters of a dtype."""
    state: dict[str, Any] = {"step": torch.tensor(7)}
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 255, (2, 70, 61), generator=generator)
    for key, found in (("exp_avg", (codes[0] - 127).char()), ("exp_avg_sq", codes[1].byte())):
        scales = torch.rand(-(-70 * 61 // 32), generator=generator).half()
        state[f"{key}::quantized"] = found
        state[f"{key}::scales"] = scales.view(dtype) if dtype is torch.bfloat16 else scales
    return state


FLASH = {"exp_avg": "flash_int8", "exp_avg_sq": "flash_uint8"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_codes_of_flashoptim_stay_as_they_are_where_a_group_asks_for_them(dtype):
    theirs = compressed(dtype)
    saved = {"state": {0: theirs}, "param_groups": [{"params": [0], "lr": 0.125}]}
    param = nn.Parameter(torch.ones(70, 61, dtype=dtype))
    optimizer = schuss.AdamW([param], state_storage=FLASH)
    optimizer.load_state_dict(migrated("flashoptim.FlashAdamW", saved))
    for key in FLASH:
        found = optimizer.state[param][key]
        assert torch.equal(found.codes, theirs[f"{key}::quantized"])
        scales = theirs[f"{key}::scales"]
        assert torch.equal(found.scales.view(torch.int16), scales.view(torch.int16))
    plain = schuss.AdamW([param])
    plain.load_state_dict(migrated("flashoptim.FlashAdamW", saved))
    decoded = plain.state[param]["exp_avg_sq"]
    assert type(decoded) is Tensor
    roots = theirs["exp_avg_sq::quantized"][0, :32].float() / 255
    scale = theirs["exp_avg_sq::scales"][:1].view(torch.float16).float()
    torch.testing.assert_close(decoded[0, :32].float(), (roots * scale) ** 2, rtol=1e-2, atol=0)


@pytest.mark.parametrize(("size", "kind", "most"), [(3, torch.int8, 127), (4, torch.int16, 32767)])
def test_weights_of_flashoptim_keep_what_bfloat16_cannot_hold(size, kind, most):
    # from 1 to 2, where the last place of bfloat16 is worth 2**-7, of both signs; and below 1
    weights = torch.cat([torch.linspace(1.0, 1.99, 5000), torch.tensor([0.9985])]).double()
    weights = weights * torch.tensor([1.0, -1.0, 1.0]).repeat(1667)
    param = nn.Parameter(weights.bfloat16())
    unit = 2.0**-7
    error = ((weights - param.detach().double()) / (unit / 2) * most).round().to(kind)
    saved: dict[str, Any] = {
        "state": {
            0: {
                "exp_avg": torch.zeros(5001),
                "exp_avg_sq": torch.zeros(5001),
                "step": torch.tensor(7),
                # as torch casts it, or as its bits, so that torch does not
                "error_bits": error.bfloat16() if size == 3 else error.view(torch.bfloat16),
            }
        },
        "param_groups": [{"params": [0], "lr": 0.125, "master_bytewidth": size}],
    }
    optimizer = schuss.AdamW([param])
    optimizer.load_state_dict(migrated("flashoptim.FlashAdamW", saved, [param]))
    assert optimizer.param_groups[0]["master_weights"] == {3: 24, 4: True}[size]
    last_place = unit / (most + 1)
    assert (optimizer.master(param) - weights).abs().max() <= 1.01 * last_place
    for params, words in (
        ([], "give the parameters as the third argument"),
        ([param.detach().half()], "the parameter is torch.float16; .*load_float32_state_dict"),
        ([param, param], "2 parameters are given, and the checkpoint .* has 1"),
    ):
        with pytest.raises(ValueError, match=words):
            migrated("flashoptim.FlashAdamW", saved, params)


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


class Places(Codes):
    """A tensor that is kept as places in a map, as those of torchao are."""

    scale: Tensor
    qmap: Tensor


@pytest.mark.parametrize("name", ["dynamic8", "udynamic8", "int4", "uint4", "fp8_e4m3"])
def test_codes_of_torchao_stay_as_they_are_where_a_group_asks_for_them(name):
    codec = CODECS[name]
    given = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    key = "exp_avg" if codec.is_signed else "exp_avg_sq"
    codes, scales = codec.encoded(given)
    theirs = torch.zeros(64, 128).as_subclass(Places)
    theirs.codes, theirs.scale = codes, scales
    if name == "fp8_e4m3":
        theirs.codes, theirs.scale = codes.view(torch.float8_e4m3fn), scales / 448
    else:
        every = torch.arange(16 if "4" in name else 256, dtype=torch.uint8)
        theirs.qmap = codec.numbers_of(every, torch.ones(1))
    other = {"exp_avg": torch.ones(64, 128), "exp_avg_sq": torch.ones(64, 128)}
    state = {**other, key: theirs, "step": torch.tensor(7.0)}
    saved = {"state": {0: state}, "param_groups": [{"params": [0], "lr": 0.5}]}
    param = nn.Parameter(torch.ones(64, 128))
    optimizer = schuss.AdamW([param], state_storage={key: name})
    optimizer.load_state_dict(migrated("torchao.AdamW8bit", saved))
    found = optimizer.state[param][key]
    assert torch.equal(found.codes.flatten(), codes.flatten())
    torch.testing.assert_close(
        found.scales.flatten(), scales, rtol=2e-7, atol=0
    )  # a product and a quotient
    plain = schuss.AdamW([param])
    plain.load_state_dict(migrated("torchao.AdamW8bit", saved))
    assert torch.equal(plain.state[param][key], found.decoded())


def test_a_report_tells_the_error_of_state_that_is_encoded_anew():
    def made(storage: Any) -> tuple[nn.Parameter, Any]:
        param = nn.Parameter(torch.ones(64, 64))
        return param, schuss.AdamW([("weight", param)], state_storage=storage)

    param, optimizer = made({"exp_avg": "dynamic8"})
    param.grad = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    before = optimizer.state[param]["exp_avg"].decoded()
    other, resumed = made("8bit")
    report = resumed.load_by_name(optimizer.state_dict())
    first, second = report.recoded
    assert (first.key, first.before, first.after) == ("exp_avg", "dynamic8", "int8")
    assert (second.key, second.before, second.after) == ("exp_avg_sq", "float32", "uint8")
    after = resumed.state[other]["exp_avg"]
    assert first.error == pytest.approx(float((after - before).norm() / before.norm()))
    assert 1e-4 < first.error < 0.02
    assert f"exp_avg of 1 encoded: dynamic8 as int8, {first.error:.2g} off at most" in str(report)
    assert not made("8bit")[1].load_by_name(resumed.state_dict()).recoded


def test_blocks_of_bitsandbytes_have_a_scale_each():
    state = {
        "state1": torch.tensor([0, 1] * 200, dtype=torch.uint8).reshape(4, 100),
        "qmap1": torch.tensor([0.5, -1.0]),
        "absmax1": torch.tensor([1.0, 8.0]),
    }
    found = buffer(state, 1)
    # The first 256 numbers, two rows and 56 of the third, have the first scale.
    assert found[2, 54:58].tolist() == [0.5, -1.0, 4.0, -8.0]
    with pytest.raises(ValueError, match="one scale for each tensor"):
        buffer({"state1": state["state1"], "max1": 1.0}, 1)


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

"""Checkpoints of other optimizers, of other parameters, and what is no checkpoint at all."""

from __future__ import annotations

import copy

import pytest
import torch

import schuss
from tests.checkpoint.trained import snapshot, train, trained


def refused(optimizer, state_dict, error, message):
    before = snapshot(optimizer)
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(state_dict)
    assert snapshot(optimizer) == before


def unmarked(state_dict):
    """Return a checkpoint as `torch.optim` and earlier versions write it, without a rule."""
    saved = copy.deepcopy(state_dict)
    for group in saved["param_groups"]:
        group.pop("schuss_rule", None)
    return saved


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        (schuss.Adam, schuss.Adafactor, "does not fit Adafactor|Adafactor needs"),
        (torch.optim.Adam, schuss.Adafactor, "does not fit Adafactor|Adafactor needs"),
        (torch.optim.SGD, schuss.AdamW, "nothing of what AdamW needs, .*'betas'"),
        (torch.optim.Adam, schuss.SGD, "nothing of what SGD needs, .*'momentum'"),
        (schuss.AdaBelief, schuss.Adam, "but Adam needs 'exp_avg_sq' too"),
        (schuss.Adam, schuss.NAdam, "but NAdam needs 'mu_product' too"),
        (schuss.Adam, schuss.Lion, "has 'step', 'exp_avg_sq', which Lion does not keep"),
        (schuss.RMSprop, schuss.SGD, "has 'step', 'square_avg', which SGD does not keep"),
    ],
    ids=lambda value: getattr(value, "__module__", "")[:5] + getattr(value, "__name__", ""),
)
def test_a_checkpoint_of_another_optimizer_is_refused_by_its_keys(theirs, ours, message):
    options = {"momentum": 0.9} if theirs is torch.optim.SGD else {}
    saved = unmarked(trained(theirs, lr=0.125, **options).state_dict())
    refused(trained(ours), saved, ValueError, message)


def test_a_checkpoint_with_another_transform_or_without_one_is_refused():
    without, with_mean = trained(), trained(transforms=[schuss.EMA()])
    refused(with_mean, without.state_dict(), ValueError, "needs 'ema', 'ema_step' too")
    refused(without, with_mean.state_dict(), ValueError, "'ema_step'.*which Adam does not keep")


@pytest.mark.parametrize("ours", [schuss.Adam, schuss.AdamW], ids=["Adam", "AdamW"])
def test_a_group_may_have_keys_of_users_and_of_schedulers(ours):
    optimizer = trained(torch.optim.AdamW)
    optimizer.param_groups[0]["layer"] = "decoder"
    torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    resumed = trained(ours, steps=0)
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.param_groups[0]["layer"] == "decoder"
    assert all(torch.equal(a, b) for a, b in zip(train(resumed), train(resumed, 0), strict=True))


def test_a_buffer_of_an_option_that_is_switched_off_may_remain():
    optimizer = trained(schuss.SGD, momentum=0.5)
    optimizer.param_groups[0]["momentum"] = 0.0
    resumed = trained(schuss.SGD, steps=0)
    resumed.load_state_dict(optimizer.state_dict())
    assert all("momentum_buffer" in state for state in resumed.state.values())


def test_torchs_note_that_there_is_no_buffer_is_no_buffer():
    state_dict = trained(torch.optim.SGD, momentum=0.9).state_dict()
    for state in state_dict["state"].values():
        state["momentum_buffer"] = None
    optimizer = trained(schuss.SGD, steps=0, momentum=0.9)
    optimizer.load_state_dict(state_dict)
    assert all(torch.equal(param, torch.full_like(param, 1 - 0.5e-3)) for param in train(optimizer))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trained(shapes=((3, 2),)), "group 0 has 1 parameters, the optimizer's 2"),
        (
            lambda: trained(shapes=((2, 3), (4,))),
            r"'exp_avg' of parameter 0 of shape \(3, 2\) .*float32 tensor of shape \(2, 3\)",
        ),
    ],
    ids=["another number", "another shape"],
)
def test_a_checkpoint_of_other_parameters_is_refused(make, message):
    refused(trained(lr=0.125), make().state_dict(), ValueError, message)


def _without(key):
    def edit(saved):
        del saved[key]

    return edit


MALFORMED = {
    "no state": (_without("state"), ValueError, "has no 'state', but 'param_groups'"),
    "no groups": (_without("param_groups"), ValueError, "has no 'param_groups', but 'state'"),
    "a list of states": (
        lambda saved: saved.update(state=[]),
        TypeError,
        "'state' of the loaded state dict is of type list",
    ),
    "one group": (
        lambda saved: saved.update(param_groups=saved["param_groups"][0]),
        TypeError,
        "'param_groups' of the loaded state dict is of type dict; it must be a list",
    ),
    "too many groups": (
        lambda saved: saved["param_groups"].append({"params": []}),
        ValueError,
        "different number of parameter groups: 2, but the optimizer has 1",
    ),
    "a group of another type": (
        lambda saved: saved.update(param_groups=[7]),
        TypeError,
        "parameter group 0 is of type int",
    ),
    "a group without parameters": (
        lambda saved: saved["param_groups"][0].pop("params"),
        ValueError,
        "parameter group 0 has no 'params', but 'maximize'",
    ),
    "a number for parameters": (
        lambda saved: saved["param_groups"][0].update(params=2),
        TypeError,
        "'params' of the loaded parameter group 0 is of type int",
    ),
    "tensors for numbers": (
        lambda saved: saved["param_groups"][0].update(params=[torch.ones(1), torch.ones(1)]),
        TypeError,
        "a parameter in 'params' .* is of type Tensor; it must be its number",
    ),
    "a parameter twice": (
        lambda saved: saved["param_groups"][0].update(params=[0, 0]),
        ValueError,
        "have parameter 0 twice",
    ),
    "a parameter that is not there": (
        lambda saved: saved["state"].update({5: {}}),
        ValueError,
        "has state of parameter 5, which is in none of its groups",
    ),
    "a state that is a tensor": (
        lambda saved: saved["state"].update({1: torch.ones(4)}),
        TypeError,
        r"state of parameter 1 of shape \(4,\) of group 0 is of type Tensor",
    ),
    "too few names": (
        lambda saved: saved["param_groups"][0].update(param_names=["weight"]),
        ValueError,
        "'param_names' of the loaded parameter group 0 are 1, for 2 parameters",
    ),
    "a hyper-parameter outside its domain": (
        lambda saved: saved["param_groups"][0].update(lr=-1.0),
        ValueError,
        r"Invalid learning rate: -1.0.*Adam, parameter group 0",
    ),
    "a hyper-parameter of another type": (
        lambda saved: saved["param_groups"][0].update(lr="fast"),
        ValueError,
        "parameter group 0 does not fit Adam: .*'fast'",
    ),
}


@pytest.mark.parametrize(("edit", "error", "message"), MALFORMED.values(), ids=MALFORMED)
def test_no_checkpoint_is_refused_and_nothing_changed(edit, error, message):
    saved = copy.deepcopy(trained(steps=5).state_dict())
    edit(saved)
    refused(trained(), saved, error, message)


def test_what_is_no_dictionary_is_refused():
    refused(trained(), [], TypeError, "is of type list; it must be a dictionary")


def test_a_parameter_is_called_by_its_name_if_it_has_one():
    model = torch.nn.Linear(3, 2)
    optimizer = schuss.Adam(model.named_parameters())
    train(optimizer)
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][1]["exp_avg"] = torch.ones(3)
    refused(optimizer, saved, ValueError, r"'exp_avg' of parameter 'bias' of shape \(2,\)")


def test_adams_checkpoint_is_decoupled_by_adamw_also_where_a_hook_unwraps_it():
    optimizer = trained(schuss.AdamW)
    optimizer.register_load_state_dict_pre_hook(lambda _, given: given["wrapped"])
    saved = trained(schuss.Adam, steps=5, weight_decay=0.5).state_dict()
    optimizer.load_state_dict({"wrapped": saved})
    (group,) = optimizer.param_groups
    assert (group["weight_decay"], group["decoupled_weight_decay"]) == (0.5, True)
    assert saved["param_groups"][0]["decoupled_weight_decay"] is False


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.complex64], ids=str)
def test_a_tensor_of_another_kind_of_numbers_is_refused(dtype):
    saved = copy.deepcopy(trained().state_dict())
    saved["state"][0]["exp_avg"] = torch.ones(3, 2, dtype=dtype)
    name = str(dtype).removeprefix("torch.")
    refused(trained(), saved, ValueError, rf"is a {name} tensor .* must be a floating-point tensor")

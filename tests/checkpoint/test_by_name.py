"""Checkpoints of a model that has changed since: parameters are found by their names."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import schuss
from tests.checkpoint.trained import snapshot

SHAPES = {"in.weight": (3, 2), "in.bias": (3,), "out.weight": (2, 3), "out.bias": (2,)}
REORDERED = ["out.bias", "in.weight", "out.weight", "in.bias"]
CLASSES = pytest.mark.parametrize("cls", [schuss.AdamW, torch.optim.AdamW], ids=["ours", "torchs"])


def parameters(names: Any = SHAPES, shapes: Any = SHAPES) -> dict[str, nn.Parameter]:
    """Return parameters by name, whose numbers depend on the name only."""
    made = {}
    for name in names:
        generator = torch.Generator().manual_seed(len(name) * 7 + ord(name[0]))
        made[name] = nn.Parameter(torch.randn(shapes[name], generator=generator))
    return made


class Held(nn.Module):
    """A model with given parameters under their names."""

    def __init__(self, params: dict[str, nn.Parameter]) -> None:
        super().__init__()
        for name, param in params.items():
            *path, last = name.split(".")
            module: nn.Module = self
            for part in path:
                if part not in dict(module.named_children()):
                    module.add_module(part, nn.Module())
                module = module.get_submodule(part)
            module.register_parameter(last, param)


def walk(params: dict[str, nn.Parameter], optimizer: Any, steps: int, first: int = 0) -> None:
    """Take steps with gradients that depend on the name and the number of the step."""
    for step in range(first, first + steps):
        for name, param in params.items():
            generator = torch.Generator().manual_seed(step * 1000 + len(name) * 7 + ord(name[0]))
            param.grad = torch.randn(param.shape, generator=generator)
        optimizer.step()


def saved_by(cls: Any = schuss.AdamW, names: Any = SHAPES, **options: Any) -> Any:
    """Return parameters after three steps, and the checkpoint of their optimizer."""
    params = parameters(names)
    optimizer = cls(list(params.items()), lr=0.125, **options)
    walk(params, optimizer, 3)
    return params, copy.deepcopy(optimizer.state_dict()), optimizer


def resumed(names: Any, params: dict[str, nn.Parameter], **options: Any) -> Any:
    """Return copies of some parameters in another order, and a new optimizer of them."""
    again = {name: nn.Parameter(params[name].detach().clone()) for name in names}
    return again, schuss.AdamW(list(again.items()), **options)


def without_names(saved: Any) -> Any:
    for group in saved["param_groups"]:
        group.pop("param_names")
    return saved


def refused(optimizer: Any, saved: Any, message: str, error: Any = ValueError, **how: Any) -> None:
    before = snapshot(optimizer)
    with pytest.raises(error, match=message):
        optimizer.load_by_name(saved, **how)
    assert snapshot(optimizer) == before


@CLASSES
def test_parameters_in_another_order_go_on_as_they_would_have(cls):
    params, saved, optimizer = saved_by(cls)
    again, other = resumed(REORDERED, params)
    report = other.load_by_name(saved)
    assert list(report.matched) == REORDERED
    assert (report.new, report.dropped) == ((), ())
    walk(params, optimizer, 3, first=3)
    walk(again, other, 3, first=3)
    for name in SHAPES:
        if cls is schuss.AdamW:
            assert torch.equal(again[name], params[name])
        else:  # torch computes in another order: one rounding or two in six steps
            torch.testing.assert_close(again[name], params[name], rtol=1e-5, atol=1e-6)


def test_order_matters_to_load_state_dict_which_warns():
    params, saved, _ = saved_by(names=["in.bias", "out.bias"])
    saved["param_groups"][0]["param_names"] = ["out.bias", "in.bias"]
    _, other = resumed(["in.bias", "out.bias"], params)
    before = snapshot(other)
    with pytest.warns(UserWarning, match=r"parameter 'out.bias' at another place .* load_by_name"):
        other.load_state_dict(saved)
    assert snapshot(other) != before


def test_names_that_differ_are_no_reason_for_a_warning():
    params, saved, _ = saved_by(names=["in.bias", "out.bias"])
    saved["param_groups"][0]["param_names"] = ["module.in.bias", "module.out.bias"]
    _, other = resumed(["in.bias", "out.bias"], params)
    other.load_state_dict(saved)


@CLASSES
def test_a_checkpoint_without_names_needs_those_that_its_model_had(cls):
    params, saved, _ = saved_by(cls)
    without_names(saved)
    _, other = resumed(REORDERED, params)
    refused(other, saved, "created without.* saved_names=.* load_state_dict needs no names")
    refused(other, saved, "saved_names are 1 names, .* 4 parameters", saved_names=["in.bias"])
    for names in (list(SHAPES), Held(parameters())):
        _, fresh = resumed(REORDERED, params)
        fresh.load_by_name(saved, saved_names=names)
        for name, param in zip(REORDERED, fresh.param_groups[0]["params"], strict=True):
            number = list(SHAPES).index(name)
            assert torch.equal(fresh.state[param]["exp_avg"], saved["state"][number]["exp_avg"])


def test_an_optimizer_without_names_needs_its_model():
    _, saved, _ = saved_by()
    again = parameters(REORDERED)
    other = schuss.AdamW(list(again.values()))
    refused(other, saved, r"parameter 0 of shape \(2,\) has no name; give the model")
    part = Held({name: again[name] for name in REORDERED[:1]})
    refused(
        other, saved, r"parameter 1 of shape \(3, 2\) has no name in the given model", model=part
    )
    report = other.load_by_name(saved, Held(again))
    assert report.matched == {name: name for name in REORDERED}
    assert "param_names" not in other.param_groups[0]
    step = other.state[again["in.bias"]]
    assert torch.equal(step["exp_avg"], saved["state"][1]["exp_avg"])


def test_what_is_wrong_with_a_parameter_is_told_with_the_name_that_its_model_gives_it():
    _, saved, _ = saved_by()
    again = parameters(REORDERED)
    other = schuss.AdamW(list(again.values()))
    saved["state"][0]["exp_avg"] = torch.ones(5)
    refused(
        other, saved, r"'exp_avg' of parameter 'in.weight' of shape \(3, 2\)", model=Held(again)
    )


def test_added_and_removed_parameters_are_refused_and_reported():
    params, saved, _ = saved_by(names=["in.weight", "in.bias", "out.weight"])
    again = {**params, **parameters(["out.bias"])}
    del again["out.weight"]
    other = schuss.AdamW(list(again.items()), lr=0.5)
    walk(again, other, 1)
    message = (
        r"(?s)in the optimizer only: out.bias\n.*in the checkpoint only: out.weight\n.*rename="
    )
    refused(other, saved, message)
    own = copy.deepcopy(dict(other.state[again["out.bias"]]))
    report = other.load_by_name(saved, strict=False)
    assert report == schuss.LoadReport(
        {"in.weight": "in.weight", "in.bias": "in.bias"}, ("out.bias",), ("out.weight",)
    )
    assert str(report) == "2 parameters matched\n1 new: out.bias\n1 dropped: out.weight"
    assert other.state[again["in.bias"]]["step"] == 3
    # The new one keeps the state that it had.
    kept = other.state[again["out.bias"]]
    assert kept["step"] == own["step"] == 1
    assert torch.equal(kept["exp_avg"], own["exp_avg"])
    assert other.param_groups[0]["lr"] == 0.125


def test_a_new_parameter_begins():
    params, saved, _ = saved_by(names=["in.weight"])
    again = {**params, **parameters(["out.bias"])}
    other = schuss.AdamW(list(again.items()))
    other.load_by_name(saved, strict=False)
    assert set(other.state) == {again["in.weight"]}
    walk(again, other, 1)
    assert [other.state[p]["step"] for p in again.values()] == [4, 1]


@pytest.mark.parametrize(
    "rename",
    [
        {"in.weight": "first.weight", "in.bias": "first.bias"},
        lambda name: name.replace("in.", "first."),
    ],
    ids=["dictionary", "function"],
)
def test_renamed_parameters_are_found(rename):
    params, saved, optimizer = saved_by()
    again = {k.replace("in.", "first."): v for k, v in resumed(SHAPES, params)[0].items()}
    other = schuss.AdamW(list(again.items()))
    report = other.load_by_name(saved, rename=rename)
    assert report.matched["first.weight"] == "in.weight"
    assert "4 parameters matched, 2 of them renamed: first.weight (was in.weight)" in str(report)
    walk(params, optimizer, 2, first=3)
    for step in (3, 4):
        for name, param in params.items():
            again[name.replace("in.", "first.")].grad = param.grad  # of the last step
        walk({name: again[name.replace("in.", "first.")] for name in params}, other, 1, first=step)
    assert all(torch.equal(params[n], again[n.replace("in.", "first.")]) for n in params)


def test_a_parameter_that_is_renamed_to_none_is_left_out():
    params, saved, _ = saved_by()
    _, other = resumed(["in.weight", "out.weight"], params)
    refused(other, saved, "in the checkpoint only: in.bias, out.bias")
    report = other.load_by_name(saved, rename={"in.bias": None, "out.bias": None})
    assert report.dropped == ("in.bias", "out.bias")


def test_a_name_that_is_not_there_or_is_taken_is_refused():
    params, saved, _ = saved_by()
    _, other = resumed(SHAPES, params)
    refused(other, saved, "'in.wieght'.* did you mean 'in.weight'", rename={"in.wieght": "x"})
    refused(
        other,
        saved,
        "rename has the name 'in.bias' for two parameters",
        rename={"out.bias": "in.bias"},
    )
    refused(other, saved, "has 7 as the name", error=TypeError, rename=lambda _: 7)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_the_prefix_of_a_wrapped_model_is_told(prefix):
    params, saved, _ = saved_by()
    names = [prefix + name for name in SHAPES]
    saved["param_groups"][0]["param_names"] = names
    _, other = resumed(SHAPES, params)
    refused(other, saved, rf"remove the prefix with rename=.*'{prefix}'")
    other.load_by_name(saved, rename=lambda name: name.removeprefix(prefix))
    back = without_names(copy.deepcopy(other.state_dict()))
    wrapped = schuss.AdamW(list(zip(names, parameters().values(), strict=True)))
    refused(wrapped, back, rf"add the prefix .*'{prefix}'", saved_names=list(SHAPES))


def test_a_shared_parameter_is_found_by_any_of_its_names():
    _, saved, _ = saved_by(names=["in.weight"])
    again = parameters(["in.weight"])
    model = Held(again)
    model.add_module("head", Held({"weight": again["in.weight"]}))
    saved["param_groups"][0]["param_names"] = ["head.weight"]
    other = schuss.AdamW(model.parameters())
    assert other.load_by_name(saved, model).matched == {"head.weight": "head.weight"}


def test_another_shape_is_refused_by_name_and_nothing_changed():
    _, saved, _ = saved_by()
    again = parameters(shapes={**SHAPES, "in.bias": (4,)})
    other = schuss.AdamW(list(again.items()))
    walk(again, other, 1)
    refused(other, saved, r"'exp_avg' of parameter 'in.bias' of shape \(4,\).*rename={")
    report = other.load_by_name(saved, rename={"in.bias": None}, strict=False)
    assert (report.new, report.dropped) == (("in.bias",), ("in.bias",))


def in_groups(params: Any, *names: list[str], **each: Any) -> list[Any]:
    """Return groups of parameters, each with a value of some hyper-parameters."""
    return [
        {"params": [(n, params[n]) for n in of], **{k: v[i] for k, v in each.items()}}
        for i, of in enumerate(names)
    ]


def test_parameters_may_have_moved_to_other_groups():
    params = parameters()
    weights, biases = ["in.weight", "out.weight"], ["in.bias", "out.bias"]
    groups = in_groups(params, weights, biases, weight_decay=(0.5, 0.0), lr=(0.125, 0.125))
    optimizer = schuss.AdamW(groups)
    walk(params, optimizer, 3)
    saved = copy.deepcopy(optimizer.state_dict())
    again = parameters()
    other = schuss.AdamW(in_groups(again, biases, ["out.weight"], ["in.weight"]))
    other.load_by_name(saved)
    assert [g["weight_decay"] for g in other.param_groups] == [0.0, 0.5, 0.5]
    assert {g["lr"] for g in other.param_groups} == {0.125}
    assert other.param_groups[0]["param_names"] == biases
    for name in SHAPES:
        mean = optimizer.state[params[name]]["exp_avg"]
        assert torch.equal(other.state[again[name]]["exp_avg"], mean)

    one = schuss.AdamW(list(parameters().items()), weight_decay=0.25)
    message = (
        "group 0 were saved with several values of 'weight_decay': 'weight_decay' of in.weight is "
        r"0.5, and of in.bias 0.0; .*keep=\('weight_decay',\)"
    )
    refused(one, saved, message)
    one.load_by_name(saved, keep=("weight_decay",))
    assert one.param_groups[0]["weight_decay"] == 0.25


def test_a_group_of_new_parameters_keeps_its_hyper_parameters():
    _, saved, _ = saved_by(names=["in.weight"])
    again = parameters(["in.weight", "out.bias"])
    other = schuss.AdamW(in_groups(again, ["out.bias"], ["in.weight"], lr=(0.5, 0.25)))
    other.load_by_name(saved, strict=False)
    assert [group["lr"] for group in other.param_groups] == [0.5, 0.125]


def test_no_tensor_is_shared_with_the_donor():
    params, _, optimizer = saved_by()
    _, other = resumed(REORDERED, params)
    other.load_by_name(optimizer.state_dict())
    taken = {
        value.data_ptr()
        for each in (optimizer, other)
        for state in each.state.values()
        for value in state.values()
        if torch.is_tensor(value)
    }
    assert len(taken) == 2 * 2 * len(SHAPES)


def test_hooks_see_the_checkpoint_before_it_is_arranged():
    params, saved, _ = saved_by()
    _, other = resumed(REORDERED, params)
    events = []
    other.register_load_state_dict_pre_hook(lambda _, given: given["wrapped"])
    other.register_load_state_dict_post_hook(lambda given: events.append(given.state_dict()))
    other.load_by_name({"wrapped": saved})
    assert len(events) == 1


def test_state_of_no_parameter_is_kept():
    params, saved, _ = saved_by()
    saved["state"]["note"] = {"tokens": 7}
    _, other = resumed(REORDERED, params)
    other.load_by_name(saved)
    assert other.state["note"] == {"tokens": 7}


def test_encoded_state_is_found_and_kept_in_its_codes():
    names = {"in.weight": (64, 80), "in.bias": (4096,), "out.bias": (4096,)}
    params = parameters(["in.weight", "in.bias"], names)
    optimizer = schuss.AdamW(list(params.items()), state_storage="8bit")
    walk(params, optimizer, 2)
    again = parameters(["out.bias", "in.weight"], names)
    other = schuss.AdamW(list(again.items()), state_storage="8bit")
    walk(again, other, 1)
    own = other.state[again["out.bias"]]["exp_avg"].clone()
    other.load_by_name(optimizer.state_dict(), strict=False)
    for param, key, expected in (
        (again["out.bias"], "exp_avg", own),
        (again["in.weight"], "exp_avg", optimizer.state[params["in.weight"]]["exp_avg"]),
        (again["in.weight"], "exp_avg_sq", optimizer.state[params["in.weight"]]["exp_avg_sq"]),
    ):
        assert torch.equal(other.state[param][key], expected)


def test_a_long_report_stays_short():
    names = tuple(f"layer.{n}" for n in range(40))
    report = schuss.LoadReport({name: name for name in names}, names, ())
    assert str(report).endswith("layer.11 and 28 more\n0 dropped")

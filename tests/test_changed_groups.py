"""Groups that people edit between steps: each is checked again before anything is changed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn, tensor

import schuss
from schuss import EMA, Adam, Lookahead, Prodigy, Sophia
from schuss.optimizer import Optimizer


def two_groups(**options):
    params = [nn.Parameter(torch.full((3,), float(number))) for number in range(4)]
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.5}]
    optimizer = Adam(groups, lr=0.25, **options)
    for param in params:
        param.grad = torch.ones(3)
    optimizer.step()
    return optimizer, params


def everything(optimizer):
    """Return copies of the parameters and of the state."""
    params = [param.detach().clone() for g in optimizer.param_groups for param in g["params"]]
    return params, copy.deepcopy(list(optimizer.state.values()))


WRONG = {
    "a string": (lambda g: g.update(lr="x"), TypeError, "Invalid learning rate: 'x'; lr must be"),
    "a sign": (lambda g: g.update(lr=-1), ValueError, "lr must be at least 0"),
    "a bool for 1.0": (lambda g: g.update(lr=True), TypeError, "lr must be a number"),
    "one rate": (lambda g: g.update(betas=(0.9,)), ValueError, "must be a tuple of 2 decay rates"),
    "an option": (lambda g: g.update(foreach="yes"), TypeError, "foreach must be True or False"),
    "two engines": (lambda g: g.update(fused=True, foreach=True), ValueError, "two engines"),
    "a decay": (lambda g: g.update(weight_decay=None), TypeError, "weight_decay must be a number"),
    "no key": (lambda g: g.pop("betas"), ValueError, "the group has no 'betas'; add it with"),
    "no rate": (lambda g: g.pop("lr"), ValueError, "the group has no 'lr'; add it with"),
    "a transform's": (lambda g: g.update(ema_decay="0.9"), TypeError, "ema_decay must be a number"),
    "a transform": (
        lambda g: g.update(transforms=[EMA(0.5)]),
        ValueError,
        "give them to the optim",
    ),
    "an argument": (lambda g: g.update(absolute=True), ValueError, "'absolute_weight_decay' there"),
    "no tensor": (lambda g: g.update(params=[3]), TypeError, "group 1 has 3 in its 'params'"),
    "no list": (
        lambda g: g.update(params=iter(g["params"])),
        TypeError,
        "the 'params' of parameter group 1 are <list_iterator .*; .* whose 'params' are a list",
    ),
    "a tuple": (lambda g: g.update(params=tuple(g["params"])), TypeError, "'params' are a list"),
    "twice": (lambda g: g.update(params=g["params"] * 2), ValueError, "listed twice, in parameter"),
    "no params": (
        lambda g: g.pop("params"),
        TypeError,
        "group 1 are missing; .*'params' are a list",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_group_that_was_changed_is_checked_before_the_next_step(case):
    change, error, message = WRONG[case]
    optimizer, params = two_groups(foreach=False, transforms=[EMA()])
    before, state = everything(optimizer)
    change(optimizer.param_groups[1])
    for _ in range(2):  # nor is it forgotten
        with pytest.raises(error, match=message) as caught:
            optimizer.step()
        assert "group 1" in str(caught.value) or "groups 1 and 1" in str(caught.value)
    for param, old in zip(params, before, strict=True):
        assert torch.equal(param, old)
    assert str(everything(optimizer)[1] if case[:2] != "no" else state) == str(state)


def test_a_parameter_in_two_groups_is_refused_whoever_put_it_there():
    optimizer, params = two_groups(foreach=False)
    optimizer.param_groups[1]["params"] = [*params[2:], params[0]]
    with pytest.raises(ValueError, match="listed twice, in parameter groups 0 and 1; list it once"):
        optimizer.step()
    optimizer, params = two_groups(foreach=False)
    optimizer.param_groups[1]["params"][1] = params[0]  # in the same list
    with pytest.raises(ValueError, match="listed twice, in parameter groups 0 and 1"):
        optimizer.step()
    optimizer.param_groups[1]["params"].pop()
    optimizer.step()
    with pytest.raises(ValueError, match="listed twice, in parameter groups 0 and 0"):
        Adam([params[0], params[1], params[0]])


def test_groups_are_known_by_what_they_hold():
    optimizer, params = two_groups(foreach=False)
    optimizer.param_groups.reverse()
    optimizer.step()
    optimizer.param_groups[:] = [dict(group) for group in optimizer.param_groups]
    del optimizer.param_groups[0]
    before = params[2].clone()
    optimizer.step()
    assert torch.equal(params[2], before)
    optimizer.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match="Adam, parameter group 0"):
        optimizer.step()


def test_a_group_that_is_spliced_in_takes_the_options_that_it_lacks():
    optimizer, _ = two_groups(foreach=False)
    new = nn.Parameter(torch.zeros(3))
    new.grad = torch.ones(3)
    values = {"lr": 0.5, "betas": (0.5, 0.5), "eps": 0.0, "weight_decay": 0.0}
    flags = {"amsgrad": False, "optimized_update": False}
    decay = {"decoupled_weight_decay": False, "absolute_weight_decay": False}
    optimizer.param_groups.append({"params": [new], **values, **flags, **decay})
    optimizer.step()
    assert new.tolist() == [-0.5] * 3
    assert optimizer.param_groups[2]["foreach"] is False
    optimizer.param_groups.append({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.5})
    with pytest.raises(
        ValueError, match="the group has no 'weight_decay', .*; add it with add_param"
    ):
        optimizer.step()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_are_checked_too(copied):
    optimizer = copied(two_groups(foreach=False)[0])
    optimizer.param_groups[1]["eps"] = None
    with pytest.raises(TypeError, match="eps must be a number"):
        optimizer.step()


def test_what_a_closure_changes_is_checked_before_the_step():
    optimizer, params = two_groups(foreach=False)
    before = params[0].clone()
    with pytest.raises(TypeError, match="lr must be a number"):
        optimizer.step(lambda: optimizer.param_groups[1].update(lr=None))
    assert torch.equal(params[0], before)


def test_estimates_of_the_hessian_are_of_checked_groups():
    param = nn.Parameter(torch.ones(2))
    param.grad = torch.ones(2)
    optimizer = Sophia([param])
    optimizer.param_groups[0]["betas"] = (0.9,)
    for call in (lambda: optimizer.update_hessian(1), lambda: optimizer.set_hessian([param])):
        with pytest.raises(ValueError, match="betas must be a tuple of 2 decay rates"):
            call()
    assert not optimizer.state[param]


def test_only_changed_groups_are_checked():
    class Counting(Optimizer):
        checks = 0

        def update(self, state, group, grad, param):
            return grad

        def check_group(self, group):
            super().check_group(group)
            type(self).checks += 1

    param = nn.Parameter(torch.ones(2))
    param.grad = torch.ones(2)
    optimizer = Counting([param], {"lr": 0.5}, foreach=False)  # type: ignore[call-arg]
    optimizer.step()
    checks = Counting.checks
    for _ in range(3):
        optimizer.step()
    assert Counting.checks == checks
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    assert Counting.checks == checks + 1


# Numbers that are tensors or NumPy's

SHAPES = {
    "one dimension": lambda x: tensor([x]),
    "two dimensions": lambda x: tensor([[x]]),
    "no dimension": tensor,
    "numpy": np.float64,
    "an array": lambda x: np.array([x])[0],
}
ENGINES = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", SHAPES)
def test_one_number_is_one_number_in_whatever_it_comes(engine, shape):
    def walked(number):
        param = nn.Parameter(torch.tensor([1.0, -2.0]))
        lr, first, second = number(0.25), number(0.5), number(0.75)
        options = {"eps": number(0.125), "weight_decay": number(0.5), **ENGINES[engine]}
        optimizer = Adam([param], lr, (first, second), transforms=[Lookahead(2)], **options)
        for step in range(4):
            param.grad = torch.tensor([1.0, 3.0 - step])
            optimizer.step()
        assert optimizer.param_groups[0]["lr"] is lr
        assert optimizer.param_groups[0]["betas"][0] is first
        return param.detach()

    torch.testing.assert_close(walked(SHAPES[shape]), walked(float))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "betas", [torch.tensor([0.5, 0.75]), np.array([0.5, 0.75]), [0.5, 0.75]], ids=str
)
def test_decay_rates_may_be_in_one_row(engine, betas):
    def walked(betas):
        param = nn.Parameter(torch.tensor([1.0, -2.0]))
        options = {"rho": 0.0, "eps": 1.0, **ENGINES[engine]}
        optimizer = schuss.Sophia([param], lr=0.25, betas=betas, **options)
        for step in range(4):
            param.grad = torch.tensor([1.0, 3.0 - step])
            optimizer.step()
        assert optimizer.state_dict()["param_groups"][0]["betas"] is betas
        return param.detach()

    torch.testing.assert_close(walked(betas), walked((0.5, 0.75)))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_schedule_writes_into_a_tensor_is_followed(engine):
    param = nn.Parameter(torch.zeros(2))
    lr = tensor([0.5])
    optimizer = schuss.SGD([param], lr=lr, momentum=tensor([0.0]), **ENGINES[engine])
    for rate in (0.5, 0.25, 2.0):
        lr.fill_(rate)
        param.grad = torch.ones(2)
        optimizer.step()
    assert param.tolist() == [-2.75, -2.75]


def test_estimates_of_a_distance_remain_numbers():
    param = nn.Parameter(torch.ones(2))
    optimizer = Prodigy([param], betas=(tensor([0.9]), tensor([0.99])), use_bias_correction=True)
    for _ in range(3):
        param.grad = param.detach().clone()
        optimizer.step()
    found = {key: type(optimizer.param_groups[0][key]) for key in ("d", "rate", "numerator")}
    assert found == {"d": float, "rate": float, "numerator": float}

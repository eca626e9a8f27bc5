"""The turns of groups in one step: in their order, and all of them or none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import Optimizer, rate


class HalfOfSum(Optimizer):
    """Takes half of the sum of the gradients as its step, and raises where a group says so."""

    lr: float = rate(default=0.5)

    def init_state(self, state, group, param):
        state["sum"] = torch.zeros_like(param)

    def step_param(self, state, group, grad, param):
        state["sum"].add_(grad)
        param.sub_(state["sum"], alpha=group["lr"])
        if group.get("raises"):
            raise ZeroDivisionError


def stepped_once(*, of_another, **engine):
    """Return an optimizer with a group for a kernel and one for the loop, whose state is edited.

    The gradient of one group is the parameter of the other one, `of_another`, if there is one.
    """
    first = nn.Parameter(torch.ones(3))
    second = nn.Parameter(torch.full((3,), 4.0))
    groups = [{"params": [first]}, {"params": [second], "foreach": False}]
    optimizer = HalfOfSum(groups, **engine)
    first.grad, second.grad = torch.ones(3), torch.ones(3)
    optimizer.step()
    optimizer.state[second]["sum"] = optimizer.state[second]["sum"].double()
    if of_another == 1:
        first.grad = second.detach()
    if of_another == 0:
        second.grad = first.detach()
    return optimizer, first, second


@pytest.mark.parametrize("of_another", [None, 0, 1])
def test_a_gradient_is_read_in_the_turn_of_its_group(of_another):
    ours = stepped_once(of_another=of_another)
    loop = stepped_once(of_another=of_another, foreach=False)
    for _ in range(2):
        for optimizer, *_ in (ours, loop):
            optimizer.step()
        for found, expected in zip(ours[1:], loop[1:], strict=True):
            assert torch.equal(found, expected)


@pytest.mark.parametrize("of_another", [None, 0, 1])
def test_no_group_is_stepped_if_a_later_one_raises_on_a_state_that_was_edited(of_another):
    optimizer, *params = stepped_once(of_another=of_another)
    numbers, sums = [p.tolist() for p in params], [optimizer.state[p]["sum"] for p in params]
    before = [x.tolist() for x in sums]
    optimizer.param_groups[1]["raises"] = True
    with pytest.raises(ZeroDivisionError):
        optimizer.step()
    assert [p.tolist() for p in params] == numbers
    assert [optimizer.state[p]["sum"].tolist() for p in params] == before
    assert all(optimizer.state[p]["sum"] is x for p, x in zip(params, sums, strict=True))
    optimizer.param_groups[1]["raises"] = False
    twin, *twins = stepped_once(of_another=of_another, foreach=False)
    optimizer.step()
    twin.step()
    assert [p.tolist() for p in params] == [p.tolist() for p in twins]

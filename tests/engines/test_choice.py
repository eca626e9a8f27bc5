"""Which engine runs a rule, and what is said if it is not the fastest."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import schuss
from tests.conformance.strangers import Ruled


def engine_of(optimizer: schuss.Optimizer) -> str:
    (cohort,) = optimizer.explain().cohorts
    return cohort.engine


@pytest.mark.parametrize(
    ("options", "engine"),
    [
        ({}, "fused"),
        ({"fused": True}, "fused"),
        ({"foreach": True}, "foreach"),
        ({"foreach": True, "fused": False}, "foreach"),
        ({"fused": True, "foreach": False}, "fused"),
        ({"foreach": False}, "loop"),
        ({"fused": False}, "loop"),
        ({"differentiable": True}, "loop"),
    ],
    ids=str,
)
def test_the_flags_are_those_of_torch(options, engine):
    assert engine_of(schuss.AdamW([nn.Parameter(torch.ones(2))], **options)) == engine


def test_on_other_devices_the_program_is_played_without_a_word():
    param = nn.Parameter(torch.ones(2, device="meta"))
    param.grad = torch.ones_like(param)
    optimizer = schuss.AdamW([param])
    optimizer.step()
    assert engine_of(optimizer) == "foreach"


def sampling(state, group, grad, param):
    param.sub_(grad, alpha=grad.abs().max().item())


def test_falling_back_is_said_once_with_operation_and_line():
    param = nn.Parameter(torch.ones(2))
    optimizer = Ruled([param], sampling)
    param.grad = torch.full((2,), 0.5)
    with pytest.warns(UserWarning, match=r"Ruled cannot run .* group 0 .*Tensor.item") as seen:
        optimizer.step()
    assert len(seen) == 1
    assert f"{__file__}:{sampling.__code__.co_firstlineno + 1}" in str(seen[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
    assert param.tolist() == [0.5, 0.5]


class Subclass(torch.Tensor):
    """A tensor of another kind."""


def test_a_tensor_of_another_kind_runs_on_the_loop():
    param = torch.ones(2).as_subclass(Subclass).requires_grad_()
    param.grad = torch.ones(2).as_subclass(Subclass)
    optimizer = schuss.SGD([param], lr=0.5)
    with pytest.warns(UserWarning, match="a Subclass is not a plain tensor"):
        optimizer.step()
    assert param.tolist() == [0.5, 0.5]


def test_parameters_that_share_memory_run_on_the_loop():
    whole = torch.ones(4)
    params = [nn.Parameter(whole[:3]), nn.Parameter(whole[1:])]
    for param in params:
        param.grad = torch.ones(3)
    optimizer = schuss.SGD(params, lr=0.25)
    with pytest.warns(UserWarning, match="share memory"):
        optimizer.step()
    assert whole.tolist() == [0.75, 0.5, 0.5, 0.75]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda s, g, grad, p: p.sub_(grad.nanmedian()), "Tensor.nanmedian .*test_choice.py:"),
        (lambda s, g, grad, p: p.sub_(grad.max(0)[0]), "torch.max with these arguments .along a"),
        (
            lambda s, g, grad, p: p.sub_(grad.norm(3)),
            "norm of order 3; there are 1",
        ),
        (lambda s, g, grad, p: p.sub_(grad) if grad.gt(0) else None, "the truth of a tensor"),
        (lambda s, g, grad, p: p.sub_(grad.item()), "Tensor.item"),
        (lambda s, g, grad, p: p.sub_(torch.bernoulli(grad)), "torch.bernoulli"),
        (lambda s, g, grad, p: p[0].sub_(1), "writing into a part"),
        (lambda s, g, grad, p: p.sub_(float(grad)), "the value of a tensor"),
        (
            lambda s, g, grad, p: p.sub_(torch.ones(7, 7)),
            "a tensor of another shape or kind among the",
        ),
        (lambda s, g, grad, p: p.sub_(grad.view(1, 2)), "a result of another shape"),
        (lambda s, g, grad, p: grad.view(-1).sub_(p), "writing into a flattened tensor"),
        (lambda s, g, grad, p: p.sub_(grad.bool()), "Tensor.bool"),
    ],
)
def test_what_no_kernel_can_express_is_refused_by_operation_and_line(rule, message):
    param = nn.Parameter(torch.ones(2))
    param.grad = torch.ones(2)
    optimizer = Ruled([param], rule, lambda state, _: state.update(step=0), fused=True)
    with pytest.raises(RuntimeError, match=f"with fused=True: .*{message}"):
        optimizer.step()
    assert param.tolist() == [1.0, 1.0]
    assert not optimizer.state


def test_nothing_is_written_if_one_of_the_groups_cannot_be_fused():
    params = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, device="meta"))]
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer = schuss.Adam([{"params": params[:1]}, {"params": params[1:]}], fused=True)
    with pytest.raises(RuntimeError, match=r"with fused=True: there is no kernel for device meta"):
        optimizer.step()
    assert params[0].tolist() == [1.0, 1.0]
    assert not optimizer.state


def test_a_new_learning_rate_or_step_needs_no_new_kernel():
    from schuss.engines.kernels.kernel import kernel

    param = nn.Parameter(torch.ones(3))
    optimizer = schuss.NAdam([param], fused=True)
    before = None
    for step in range(30):
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
        param.grad = torch.ones(3)
        optimizer.step()
        misses = kernel.cache_info().misses
        assert before in (None, misses)
        before = misses

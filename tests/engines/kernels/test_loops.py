"""Two loops leave what one would, and there are two where much follows a quotient."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from tests.conformance.strangers import Ruled
from tests.engines.kernels.test_codecs import trained_alike

LOOP = "for i in range(count):"
HALF = {"dtype": torch.bfloat16}


def printed(create: Any, dtype: torch.dtype = torch.float32, **options: Any) -> str:
    """Return the kernel of an optimizer whose state is encoded."""
    param = nn.Parameter(torch.ones(4096, dtype=dtype))
    param.grad = torch.ones_like(param)
    optimizer = create([param], fused=True, state_storage="8bit", **options)
    optimizer.step()
    (cohort,) = optimizer.explain().cohorts
    return str(cohort.kernel)


def test_few_operations_behind_a_quotient_are_in_one_loop_with_it():
    assert printed(schuss.AdamW).count(LOOP) == 1
    assert printed(schuss.AdamW, torch.bfloat16).count(LOOP) == 1


def test_weights_are_divided_in_a_loop_behind_that_of_the_rule():
    _, rule, weights = printed(schuss.AdamW, master_weights=24, **HALF).split(LOOP)
    assert "join_int8" in rule
    assert "upper_int8" not in rule
    assert weights.count("load_") == 1  # of the weight that is to be divided
    assert "sqrt" not in weights


def test_an_angle_is_computed_in_a_loop_behind_that_of_the_root():
    _, root, angle = printed(schuss.AdamAtan2).split(LOOP)
    assert "sqrt" in root
    assert "load_float32(p1, i)" not in root  # the parameter is read where it is needed
    assert "atan2" in angle


def much_behind_a_quotient(state: Any, group: Any, grad: Tensor, param: Tensor) -> None:
    """Compute much after a comparison with a quotient, from what an average was before."""
    if not state:
        state["exp_avg"] = torch.zeros_like(grad)
        return
    m = state["exp_avg"]
    before = m.clone()
    m.mul_(0.5).add_(grad, alpha=0.5)
    is_up = m / (grad.abs() + 1) > grad * before
    x = before
    for _ in range(8):
        x = x * 0.5 + before * x
    param.sub_(torch.where(is_up, x, before), alpha=0.1)


def test_a_second_loop_reads_no_place_that_the_first_has_written_to():
    create = partial(Ruled, rule=much_behind_a_quotient, state_storage={"exp_avg": "int8"})
    assert printed_rule(create).count(LOOP) == 2
    trained_alike(create, [(4099,), (64, 64)])


def printed_rule(create: Any) -> str:
    param = nn.Parameter(torch.ones(4096))
    param.grad = torch.ones(4096)
    optimizer = create([param], fused=True)
    for _ in range(2):  # the first of which makes the state
        optimizer.step()
    (cohort,) = optimizer.explain().cohorts
    return str(cohort.kernel)


@pytest.mark.parametrize("options", [{"master_weights": 24}, {"rounding": "stochastic"}])
def test_weights_in_half_precision_are_kept_as_by_the_loop(options):
    generator = torch.Generator().manual_seed(0)
    start, grads = (torch.randn(3, 5001, generator=generator).bfloat16() for _ in range(2))
    found = []
    for engine in ({"fused": True}, {"foreach": False}):
        param = nn.Parameter(start[0].clone())
        optimizer = schuss.AdamW([param], state_storage="8bit", lr=0.01, **options, **engine)
        for grad in grads:
            param.grad = grad
            optimizer.step()
        found.append(optimizer.master(param) if "master_weights" in options else param.detach())
    ours, theirs = found
    tolerance = 2.0**-16 if "master_weights" in options else 2.0**-8
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=1e-4)  # codes off by one

"""What people do to groups, parameters and gradients between steps, on every engine."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import schuss

ENGINES = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def step(optimizer: schuss.Optimizer, count: int = 1) -> None:
    for _ in range(count):
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.grad = torch.ones_like(param)
        optimizer.step()


@pytest.fixture(params=ENGINES)
def options(request) -> dict[str, bool]:
    return ENGINES[request.param]


def two_groups(options) -> tuple[schuss.Optimizer, list[nn.Parameter]]:
    params = [nn.Parameter(torch.zeros(3)) for _ in range(2)]
    return schuss.Adam([{"params": [param]} for param in params], lr=0.1, **options), params


def test_a_group_that_is_deleted_takes_no_count_along(options):
    optimizer, (_, kept) = two_groups(options)
    step(optimizer, 10)
    del optimizer.param_groups[0]
    step(optimizer)
    assert optimizer.state[kept]["step"] == 11
    # With gradients of 1 every step is one of lr.
    assert kept[0].item() == pytest.approx(-1.1, abs=1e-5)


def test_groups_that_change_places_keep_their_counts(options):
    optimizer, (early, late) = two_groups(options)
    step(optimizer, 4)
    early.grad = None
    optimizer.step()
    optimizer.param_groups.reverse()
    step(optimizer, 2)
    assert [optimizer.state[param]["step"] for param in (early, late)] == [6, 7]


def test_a_parameter_that_moves_to_another_group_keeps_its_count(options):
    optimizer, (first, second) = two_groups(options)
    step(optimizer, 4)
    optimizer.param_groups[1]["params"].append(optimizer.param_groups[0]["params"].pop())
    step(optimizer, 2)
    assert [optimizer.state[param]["step"] for param in (first, second)] == [6, 6]


@pytest.mark.filterwarnings("ignore:SM3 cannot run")
def test_an_engine_that_is_asked_for_late_runs_or_raises():
    param = nn.Parameter(torch.ones(2, 3, 3, 3))
    optimizer = schuss.SM3([param])
    step(optimizer, 2)
    optimizer.param_groups[0]["fused"] = True
    before = param.detach().clone()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="SM3 with fused=True"):
            step(optimizer)
    assert torch.equal(param, before)


@pytest.mark.parametrize("create", [schuss.SGD, schuss.Adam])
def test_master_weights_may_be_switched_on_late(create, options):
    param = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = create([param], lr=1e-4, **options)
    step(optimizer)
    optimizer.param_groups[0]["master_weights"] = True
    step(optimizer, 400)
    # 400 steps of 1e-4 are 0.04, which bfloat16 alone rounds away one by one.
    assert param[0].item() == pytest.approx(0.96, abs=0.004)


def test_a_learning_rate_in_a_tensor_leaves_state_that_can_be_saved(options):
    param = nn.Parameter(torch.ones(3))
    optimizer = schuss.AdamWScheduleFree([param], lr=torch.tensor(0.1), **options)
    step(optimizer, 3)
    assert optimizer.state_dict()["state"][0]["step"] == 3


@pytest.mark.parametrize("change", ["dtype", "shape"])
def test_a_parameter_unlike_its_state_is_refused_before_anything_moves(change, options):
    params = [nn.Parameter(torch.ones(4)) for _ in range(2)]
    optimizer = schuss.AdamW(params, lr=0.1, **options)
    step(optimizer, 3)
    params[1].data = params[1].data.double() if change == "dtype" else params[1].data[:2]
    before = [param.detach().clone() for param in params]
    with pytest.raises(RuntimeError, match="its state 'exp_avg' is torch.float32 of shape"):
        step(optimizer)
    assert all(map(torch.equal, params, before))
    assert optimizer.state[params[0]]["step"] == 3


def test_a_gradient_of_another_precision_is_brought_to_that_of_the_rule(options):
    param = nn.Parameter(torch.ones(5))
    param.grad_dtype = None
    optimizer = schuss.SGD([param], lr=0.5, **options)
    for dtype in (torch.float64, torch.bfloat16):
        param.grad = torch.arange(1.0, 6.0, dtype=dtype)
        optimizer.step()
    assert param.tolist() == [0, -1, -2, -3, -4]  # 1 - 2 * 0.5 * k


def test_a_real_gradient_of_a_complex_parameter_has_no_imaginary_part(options):
    param = nn.Parameter(torch.ones(6, dtype=torch.complex64) * 1j)
    param.grad_dtype = None
    param.grad = torch.ones(6)
    schuss.SGD([param], lr=0.5, **options).step()
    assert param.tolist() == [-0.5 + 1j] * 6


def test_a_gradient_that_is_its_parameter_is_read_before_that_moves(options):
    param = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = schuss.SGD([param], lr=0.1, momentum=0.9, **options)
    for _ in range(3):
        param.grad = param.detach()
        optimizer.step()
    # b: 1, 1.8, 2.34; the weight: 1 - .1 = .9, .9 - .18 = .72 with b = .9 + .9, .72 - .234 = .486
    assert param.tolist() == pytest.approx([0.486, -0.972])


def test_the_norm_of_one_number_is_that_number(options):
    param = nn.Parameter(torch.tensor(1.0))
    param.grad = torch.tensor(1e30)
    optimizer = schuss.LARS([param], lr=0.1, trust_coefficient=0.5, momentum=0.0, **options)
    optimizer.step()
    # The rate is 0.5 * |w| / |g|, and g over its norm is 1: the step is 0.1 * 0.5.
    assert param.item() == pytest.approx(0.95)


def test_a_lazily_conjugated_parameter_moves():
    param = nn.Parameter((torch.ones(3, dtype=torch.complex64) * (1 + 1j)).conj())
    param.grad = torch.ones(3, dtype=torch.complex64)
    optimizer = schuss.SGD([param], lr=0.5, foreach=False)
    optimizer.step()
    assert param.tolist() == [0.5 - 1j] * 3
    param.grad = torch.ones(3, dtype=torch.complex64)
    with pytest.raises(RuntimeError, match="lazily conjugated"):
        schuss.SGD([param], fused=True).step()

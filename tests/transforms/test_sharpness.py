"""SAM and ASAM, along a second gradient."""

from __future__ import annotations

import pytest
import pytorch_optimizer
import torch
from torch import nn

import schuss
from schuss import SAM, ClipByGlobalNorm, SkipNonFinite

ENGINES = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
# Where the gradient vanishes its direction is made of rounding errors: before that.
STEPS = 15


def problem(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).to(dtype)
    return model, torch.randn(16, 4).to(dtype)


def closure_of(model, x, optimizer):
    def closure():
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        return loss

    return closure


def path(model, x, optimizer, closures_before=0):
    for _ in range(STEPS):
        closure = closure_of(model, x, optimizer)
        for _ in range(closures_before):
            closure()
        optimizer.step(closure)
    return torch.cat([param.detach().flatten() for param in model.parameters()])


def ours(engine, adaptive, eta=0.01):
    model, x = problem()
    sam = SAM(0.5, sam_adaptive=adaptive, sam_eta=eta)
    options = {"lr": 0.1, "momentum": 0.9, "transforms": [sam], **ENGINES[engine]}
    return path(model, x, schuss.SGD(model.parameters(), **options))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("adaptive", [False, True])
def test_it_moves_as_the_algorithm_of_the_paper(adaptive, engine):
    model, x = problem()
    params = list(model.parameters())
    buffers = [torch.zeros_like(param) for param in params]

    def gradients():
        return torch.autograd.grad((model(x) - 1).square().mean(), params)

    for _ in range(STEPS):
        start = [param.detach().clone() for param in params]
        grads = gradients()
        units = [p.abs() + 0.01 if adaptive else torch.ones_like(p) for p in start]
        scaled = [t * g for t, g in zip(units, grads, strict=True)]
        length = torch.cat([each.flatten() for each in scaled]).norm()
        for param, unit, each in zip(params, units, scaled, strict=True):
            param.data += 0.5 * unit * each / length
        for param, old, grad, buffer in zip(params, start, gradients(), buffers, strict=True):
            buffer.mul_(0.9).add_(grad)
            param.data = old - 0.1 * buffer
    expected = torch.cat([param.detach().flatten() for param in params])
    # The stabilizer of the norm.
    torch.testing.assert_close(ours(engine, adaptive), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("adaptive", [False, True])
def test_it_moves_as_pytorch_optimizer(adaptive):
    model, x = problem()
    theirs = pytorch_optimizer.SAM(
        model.parameters(),
        torch.optim.SGD,
        rho=0.5,
        adaptive=adaptive,
        perturb_eps=1e-12,
        lr=0.1,
        momentum=0.9,
    )
    # They take the norm in float32.
    expected = path(model, x, theirs, closures_before=1)
    torch.testing.assert_close(ours("fused", adaptive, eta=0.0), expected, rtol=1e-5, atol=1e-7)


def test_a_step_worked_by_hand():
    # L = w^2 / 2: the gradient at 2 + 0.5 is 2.5. ASAM: the way is 0.5 * 2^2 * 2 / (2 * 2) = 1, and
    # with a stabilizer of 1 it is 0.5 * 3^2 * 2 / (3 * 2) = 1.5.
    for adaptive, eta, expected in (
        (False, 0.0, 2 - 2.5),
        (True, 0.0, 2 - 3.0),
        (True, 1.0, 2 - 3.5),
    ):
        weight = nn.Parameter(torch.tensor([2.0]))
        optimizer = schuss.SGD([weight], lr=1.0, transforms=[SAM(0.5, adaptive, eta)])

        def closure(optimizer=optimizer, weight=weight):
            optimizer.zero_grad()
            loss = weight.square().sum() / 2
            loss.backward()
            return loss

        assert float(torch.as_tensor(optimizer.step(closure)).detach()) == 2.0
        assert weight.item() == expected


def test_with_a_distance_of_zero_it_is_the_optimizer():
    ends = []
    for transforms in ([SAM(0.0)], []):
        model, x = problem()
        optimizer = schuss.AdamW(model.parameters(), lr=0.1, transforms=transforms)
        for _ in range(5):
            optimizer.step(closure_of(model, x, optimizer))
        ends.append([param.detach() for param in model.parameters()])
    torch.testing.assert_close(ends[0], ends[1])


def test_it_needs_a_closure():
    model, x = problem()
    optimizer = schuss.SGD(model.parameters(), transforms=[SAM()])
    closure_of(model, x, optimizer)()
    with pytest.raises(RuntimeError, match=r"SAM\(.*\) needs the gradient of a second point: give"):
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_when_the_second_closure_raises_the_parameters_return(dtype):
    model, x = problem(dtype)
    optimizer = schuss.SGD(model.parameters(), transforms=[SAM(0.5)], master_weights=True)
    before = [param.detach().clone() for param in model.parameters()]
    first = closure_of(model, x, optimizer)
    calls = []

    def closure():
        calls.append(1)
        if len(calls) == 2:
            assert any(
                not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True)
            )
            raise KeyboardInterrupt
        return first()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_when_the_second_gradient_is_not_finite_the_parameters_return():
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = schuss.SGD([weight], lr=1.0, transforms=[SAM(0.5), SkipNonFinite()])
    calls = []

    def closure():
        calls.append(1)
        weight.grad = torch.tensor([2.0 if len(calls) == 1 else float("nan")])
        return weight.sum()

    optimizer.step(closure)
    assert weight.item() == 2.0
    assert optimizer.param_groups[0]["skipped_steps"] == 1


def test_parameters_that_take_part_in_one_of_the_two_passes_only():
    first, second = (nn.Parameter(torch.tensor([2.0])) for _ in range(2))
    optimizer = schuss.SGD([first, second], lr=1.0, transforms=[SAM(0.5)])
    calls = []

    def closure():
        calls.append(1)
        first.grad = torch.tensor([1.0]) if len(calls) % 2 else None
        second.grad = None if len(calls) % 2 else torch.tensor([1.0])
        return first.sum()

    for count in (1, 2):
        optimizer.step(closure)
        assert (first.item(), second.item()) == (2.0, 2.0 - count)


def test_other_transforms_see_the_second_gradient():
    weight = nn.Parameter(torch.tensor([2.0]))
    chain = [SAM(0.5), ClipByGlobalNorm(1.0)]
    optimizer = schuss.SGD([weight], lr=1.0, transforms=chain)
    calls = []

    def closure():
        calls.append(1)
        weight.grad = torch.tensor([1.0 if len(calls) == 1 else -5.0])
        return weight.sum()

    optimizer.step(closure)
    assert weight.item() == pytest.approx(3.0)

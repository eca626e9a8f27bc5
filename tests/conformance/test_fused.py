"""The fused engine against the loop, which is the specification."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import schuss
from schuss import Optimizer
from tests.conformance.trajectories import Training, distance, trajectory

ALL = [info.name for info in schuss.list_optimizers()]

# The loop rounds after every operation. A kernel may contract a product and a sum into one
# rounding, so that each step may be off by a few units in the last place: 1e-16, 1e-7.
TOLERANCE = {
    torch.float64: 1e-14,
    torch.complex128: 1e-14,
    torch.float32: 3e-6,
    torch.complex64: 3e-6,
}

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay added": {"weight_decay": schuss.WeightDecay(0.3, weight_decouple=False)},
    "decay decoupled": {"weight_decay": schuss.WeightDecay(0.3)},
    "decay absolute": {"weight_decay": schuss.WeightDecay(0.01, absolute=True)},
    "L1 decay": {"weight_decay": schuss.L1Decay(0.3)},
    "maximize": {"maximize": True},
}

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *itertools.product(ALL, OPTIONS.values()),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.9, "dampening": 0.1}),
    ("adam", {"amsgrad": True, "optimized_update": True}),
    ("radam", {"optimized_update": False, "betas": (0.5, 0.9)}),
    ("radam", {"degenerated_to_sgd": False}),
    ("adabelief", {"rectify": False, "amsgrad": True}),
    ("sophia", {"add_eps": True}),
]
VARIANTS = [
    (name, options)
    for name, options in VARIANTS
    if not (name == "adamw" and options is OPTIONS["decay added"])
]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
def test_a_kernel_takes_the_path_of_the_loop(name, options, dtype):
    create = partial(schuss.create_optimizer, name, lr=3e-2, **options)
    training = Training(dtype=dtype, second_group={"lr": 1e-2}, scheduled=True, saved_after=47)
    expected = trajectory(create, training)
    found = trajectory(partial(create, fused=True), training)
    assert distance(found, expected) <= TOLERANCE[dtype]


@pytest.mark.parametrize("name", ALL)
def test_a_checkpoint_of_one_engine_continues_on_the_other(name):
    loop = partial(schuss.create_optimizer, name, lr=3e-2)
    fused = partial(loop, fused=True)
    expected = trajectory(loop, Training())
    for first, then in ((loop, fused), (fused, loop)):
        found = trajectory(first, Training(saved_after=20), then=then)
        assert distance(found, expected) <= TOLERANCE[torch.float64]


def gradients(param: torch.Tensor, steps: int = 5) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(param.shape, generator=generator) for _ in range(steps)]


LAYOUTS = {
    "contiguous": lambda: torch.randn(2, 3, 4, 4),
    "channels last": lambda: torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "transposed": lambda: torch.randn(5, 7).t(),
    "scalar": lambda: torch.randn(()),
    "one element": lambda: torch.randn(1, 1, 1),
    "empty": lambda: torch.randn(0, 3),
    "more than a chunk": lambda: torch.randn(40_000),
    "many chunks, for two threads": lambda: torch.randn(301, 1009),
    "a view into a larger tensor": lambda: torch.randn(100)[10:40],
}


@pytest.mark.parametrize("strided", [False, True], ids=["", "strided gradients"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_takes_the_path_of_the_loop(layout, strided):
    start = LAYOUTS[layout]()
    ends = []
    for fused in (False, True):
        param = nn.Parameter(start.clone(memory_format=torch.preserve_format))
        optimizer = schuss.AdamW([param], lr=0.1, fused=fused)
        storage = param.data_ptr()
        for grad in gradients(param):
            param.grad = torch.stack([grad, grad], -1)[..., 0] if strided else grad
            optimizer.step()
        assert param.data_ptr() == storage
        ends.append(param.detach())
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-5, atol=1e-6)


def test_the_path_does_not_depend_on_the_number_of_threads():
    ends = []
    threads = torch.get_num_threads()
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        torch.manual_seed(0)
        param = nn.Parameter(torch.randn(200_003))
        optimizer = schuss.NAdam([param], lr=0.1, fused=True)
        for grad in gradients(param):
            param.grad = grad
            optimizer.step()
        ends.append(param.detach())
    torch.set_num_threads(threads)
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 0.0])
@pytest.mark.parametrize("name", ALL)
def test_what_is_not_a_number_goes_where_the_loop_lets_it_go(name, value):
    ends = []
    for fused in (False, True):
        param = nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = schuss.create_optimizer(name, [param], weight_decay=0.1, fused=fused)
        for grad in ([value, 1.0], [1.0, 1.0], [0.0, value]):
            param.grad = torch.tensor(grad)
            optimizer.step()
        ends.append(param.detach())
    torch.testing.assert_close(ends[1], ends[0], equal_nan=True)


@pytest.mark.parametrize("name", ALL)
def test_a_grad_scaler_is_obeyed(name):
    ends = []
    for fused in (False, True):
        param = nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = schuss.create_optimizer(name, [param], lr=0.1, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for factor in (1.0, float("inf"), 0.5):
            param.grad = None
            scaler.scale((param * factor).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        ends.append(param.detach())
    torch.testing.assert_close(ends[1], ends[0])


def test_sophia_takes_the_curvature_in_a_kernel_too():
    ends = []
    for fused in (False, True):
        param = nn.Parameter(torch.linspace(-1, 1, 9))
        optimizer = schuss.Sophia([param], lr=0.01, fused=fused)
        for step, grad in enumerate(gradients(param, 20)):
            param.grad = grad
            if step % 5 == 0:
                optimizer.update_hessian(16)
            optimizer.step()
        ends.append(param.detach())
    torch.testing.assert_close(ends[1], ends[0])


# Rules of strangers


class Ruled(Optimizer):
    """Takes its rule as an argument."""

    def __init__(self, params, rule, start=lambda state, param: None, lr=0.5, **options):
        self.rule, self.start = rule, start
        super().__init__(params, {"lr": lr}, **options)

    def init_state(self, state, group, param):
        self.start(state, param)

    def step_param(self, state, group, grad, param):
        self.rule(state, group, grad, param)


def lazily(state, group, grad, param):
    if "b" not in state:
        state["b"], state["calls"] = grad.clone(), 0
    state["b"] = 0.5 * state["b"] + grad
    state["calls"] += 1
    param.data -= group["lr"] * state["b"] / state["calls"] ** 0.5


def swapping(state, group, grad, param):
    state.setdefault("x", torch.zeros_like(grad))
    state.setdefault("y", torch.ones_like(grad))
    state["x"], state["y"] = state["y"], state["x"] + grad
    param.sub_(state["x"])


def deleting(state, group, grad, param):
    if state.pop("b", None) is None:
        state["b"] = grad.clone()
    param.sub_(grad)


def out_of_place(state, group, grad, param):
    target = torch.zeros_like(param)
    torch.maximum(param, grad, out=target)
    torch.add(target, grad, alpha=2, out=target)
    param.data = target.detach().clone().to(param.dtype)


def choosing(state, group, grad, param):
    up = (grad > 0) & ~(param > 1) | (grad.abs() <= 0.25)
    param.copy_(torch.where(up, param - 1, param.clamp(-0.5, 0.5) ** 3).tanh())


def reflected(state, group, grad, param):
    param.add_(1 - grad).sub_(2.0 * grad, alpha=0.5).div_(1 + 1 / (1 + grad**2)).neg_()
    param.copy_(2.0**param - grad.square().add(1).rsqrt() + torch.exp(-grad.abs()).log())


def with_tensors(state, group, grad, param):
    lr = torch.tensor(0.125)
    param.sub_(lr * grad).addcdiv_(grad, grad.abs() + lr, value=-0.5)


@pytest.mark.parametrize(
    "rule",
    [lazily, swapping, deleting, out_of_place, choosing, reflected, with_tensors],
    ids=lambda rule: rule.__name__,
)
def test_rules_written_every_which_way_take_the_path_of_the_loop(rule):
    training = Training(steps=20)
    expected = trajectory(partial(Ruled, rule=rule), training)
    found = trajectory(partial(Ruled, rule=rule, fused=True), training)
    assert distance(found, expected) <= 1e-13


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda s, g, grad, p: p.sub_(grad.median()), "Tensor.median .*test_fused.py:"),
        (lambda s, g, grad, p: p.sub_(grad.mean(0)), "torch.mean with these arguments .only over"),
        (
            lambda s, g, grad, p: p.sub_(grad.norm(3)),
            "norm of order 3; there are 1",
        ),
        (lambda s, g, grad, p: p.sub_(grad) if grad.gt(0) else None, "the truth of a tensor"),
        (lambda s, g, grad, p: p.sub_(grad.item()), "Tensor.item"),
        (lambda s, g, grad, p: p.sub_(torch.cumsum(grad, 0)), "torch.cumsum"),
        (lambda s, g, grad, p: p[0].sub_(1), "a part of a tensor"),
        (lambda s, g, grad, p: p.sub_(float(grad)), "the value of a tensor"),
        (lambda s, g, grad, p: p.sub_(torch.ones(2)), "a Tensor among the operands"),
        (lambda s, g, grad, p: p.sub_(grad.view(1, 2)), "Tensor.view with these arguments"),
        (lambda s, g, grad, p: grad.view(-1).sub_(p), "writing into a flattened tensor"),
        (lambda s, g, grad, p: p.sub_(grad.to(torch.float16)), "Tensor.to with these arguments"),
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
    from schuss.engines.fused.kernels import kernel

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


def test_state_that_is_loaded_cleared_or_replaced_between_steps_is_used_by_the_next():
    ends = []
    for fused in (False, True):
        params = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
        optimizer = schuss.Adam(params, lr=0.1, fused=fused)

        def steps(count=2, optimizer=optimizer, params=params):
            for _ in range(count):
                for param in params:
                    param.grad = param.detach() + 0.5
                optimizer.step()

        steps()
        saved = {**optimizer.state_dict()}
        steps()
        optimizer.load_state_dict(saved)
        steps()
        optimizer.state[params[0]]["step"] = 7
        steps()
        optimizer.state[params[1]]["exp_avg"] = torch.full((3,), 2.0)
        steps()
        optimizer.state.clear()
        steps()
        params[0].data = params[0].data.clone()
        steps()
        optimizer.param_groups[0]["amsgrad"] = True
        steps()
        params[1].grad = None
        optimizer.step()
        ends.append(torch.cat([param.detach() for param in params]))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-6, atol=0)


def test_a_key_of_the_state_may_be_any_text():
    keys = ("a b", "a.b", "a_b", "x = 1\n", "for", "")

    def rule(state, group, grad, param):
        for number, key in enumerate(keys):
            state[key] = state.get(key, grad) * 0.5 + number
            param.sub_(state[key])

    training = Training(steps=5)
    expected = trajectory(partial(Ruled, rule=rule), training)
    found = trajectory(partial(Ruled, rule=rule, fused=True), training)
    assert distance(found, expected) <= 1e-13


def test_the_name_of_an_optimizer_says_nothing_about_its_numbers():
    class Float64(schuss.SGD):
        """Steps float32 parameters of more than a chunk all the same."""

    param = nn.Parameter(torch.ones(40_000))
    param.grad = torch.ones_like(param)
    Float64([param], lr=0.25, fused=True).step()
    assert (param == 0.75).all()

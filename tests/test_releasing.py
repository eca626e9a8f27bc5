"""Gradient release: the same steps as without, and never all gradients in memory."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss import EMA, SAM, SGD, Accumulate, AdamW, ClipByGlobalNorm, Composite, SkipNonFinite
from schuss.engines.cohorts.cohort import Cohort
from tests.algorithms import OF_MATRICES, TRACED

ENGINES = {"fused": {}, "foreach": {"foreach": True}, "loop": {"foreach": False}}
SUMMING = ["dadaptadam", "dadaptlion", "dadaptsgd", "dog", "prodigy"]
DRAWING = ["psgdkron"]  # which draws one seed for all, and another for each parameter when released

Make = Callable[[Any], schuss.Optimizer]


class Network(nn.Module):
    """Matrices of different shapes, vectors, and one weight that is used twice."""

    def __init__(self, dtype: torch.dtype = torch.float32, *, biases: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8, bias=biases, dtype=dtype)
        self.tied = nn.Linear(8, 8, bias=False, dtype=dtype)
        self.last = nn.Linear(8, 3, bias=biases, dtype=dtype)
        self.unused = nn.Parameter(torch.ones(2, 5, dtype=dtype))

    def forward(self, x: Tensor, *, uses_all: bool = False) -> Tensor:
        hidden = self.tied(torch.tanh(self.tied(torch.tanh(self.first(x)))))
        extra: Any = self.unused.square().sum() if uses_all else 0
        return self.last(hidden).square().mean() + extra


def batches(count: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [torch.randn(5, 6, generator=torch.manual_seed(n)).to(dtype) for n in range(count)]


def network(dtype: torch.dtype = torch.float32, *, biases: bool = True) -> Network:
    torch.manual_seed(0)
    return Network(dtype, biases=biases)


def trained(
    make: Make,
    model: Network,
    *,
    released: bool,
    calls: int = 5,
    all_in: tuple[int, ...] = (1, 2),
    **options: Any,
) -> tuple[list[Tensor], schuss.Optimizer]:
    """Train a model, and return its parameters and the optimizer.

    Args:
        make: Makes the optimizer.
        model: The model.
        released: Whether gradients are released.
        calls: How many calls of `step`.
        all_in: The calls in which every parameter has a gradient.
        **options: Arguments of `releasing`.
    """
    optimizer = make(model.parameters())
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    block = optimizer.releasing(model, **options) if released else contextlib.nullcontext()
    with block:
        for number, x in enumerate(batches(calls, model.unused.dtype)):
            model(x, uses_all=number in all_in).backward()
            assert not released or all(param.grad is None for param in model.parameters())
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    return list(model.parameters()), optimizer


def assert_same(make: Make, model: Callable[[], Network] = network, **how: Any) -> None:
    """Assert that released gradients lead to the same parameters and state, bit for bit."""
    expected, ordinary = trained(make, model(), released=False, **how)
    found, optimizer = trained(make, model(), released=True, **how)
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)
        state = ordinary.state[one]
        assert state.keys() == optimizer.state[other].keys()
        for key, value in state.items():
            same = optimizer.state[other][key]
            assert torch.equal(value, same) if isinstance(value, Tensor) else value == same
    assert ordinary.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name in TRACED if name not in SUMMING])
def test_every_optimizer_takes_the_same_steps_as_without(name, engine):
    [info] = schuss.list_optimizers(name)
    # torch's functions on lists round otherwise where the step counts of a list differ.
    all_in = () if engine == "foreach" else (1, 2)
    assert_same(lambda params: info.cls(params, **ENGINES[engine]), all_in=all_in)


@pytest.mark.parametrize("name", [name for name in OF_MATRICES if name not in DRAWING])
def test_optimizers_of_matrices_take_the_same_steps_as_without(name):
    [info] = schuss.list_optimizers(name)
    options = {} if name == "muon" else {"foreach": False}  # whose kernels take long to compile
    assert_same(lambda params: info.cls(params, **options), lambda: network(biases=False))


OTHERS: dict[str, Make] = {
    "master weights": lambda params: AdamW(params, master_weights=True),
    "an option": lambda params: AdamW(params, amsgrad=True, maximize=True),
    "a learning rate in a tensor": lambda params: AdamW(params, lr=torch.tensor(1e-2)),
    "transforms": lambda params: SGD(
        params, lr=0.1, momentum=0.9, transforms=[schuss.ClipByNorm(0.1), EMA(0.9)]
    ),
    "accumulation": lambda params: AdamW(params, lr=0.1, transforms=[Accumulate(2)]),
    "accumulation in the middle": lambda params: AdamW(
        params, transforms=[schuss.ClipByValue(0.1), Accumulate(3), EMA(0.9)]
    ),
}


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("other", OTHERS)
def test_options_and_transforms_take_the_same_steps_as_without(other, engine):
    def make(params: Any) -> schuss.Optimizer:
        optimizer = OTHERS[other](params)
        for group in optimizer.param_groups:
            group.update(ENGINES[engine])
        return optimizer

    all_in = (0, 1, 2, 3) if engine == "foreach" else (1, 2)
    dtype = torch.bfloat16 if other == "master weights" else torch.float32
    assert_same(make, lambda: network(dtype), all_in=all_in, calls=4)


def test_state_that_is_kept_in_fewer_bytes_is_the_same_as_without():
    def trained(*, released: bool) -> list[Tensor]:
        params = [weight(*torch.linspace(-1, 1, 5000).tolist()), weight(1.0)]
        optimizer = AdamW(params, lr=0.1, state_storage="8bit")
        with optimizer.releasing() if released else contextlib.nullcontext():
            for factor in (1.0, 2.0, 3.0):
                torch.stack([param.square().sum() * factor for param in params]).sum().backward()
                optimizer.step()
                optimizer.zero_grad()
        return [*params, optimizer.state[params[0]]["exp_avg_sq"].codes]

    for one, other in zip(trained(released=False), trained(released=True), strict=True):
        assert torch.equal(one, other)


def test_a_composite_takes_the_same_steps_as_without():
    def make(params: Any) -> schuss.Optimizer:
        listed = list(params)
        groups = [
            {"params": [p for p in listed if p.dim() == 2], "algorithm": "hidden"},
            {"params": [p for p in listed if p.dim() == 1], "algorithm": "rest"},
        ]
        parts = {"hidden": schuss.Lion(lr=1e-2), "rest": SGD(lr=0.1)}
        return Composite(groups, transforms=[EMA(0.9)], **parts)

    assert_same(make)


def test_an_estimate_of_the_hessian_between_the_steps_is_taken_as_without():
    def trained(*, released: bool) -> list[Tensor]:
        model = network()
        optimizer = schuss.AdaHessian(model.parameters(), lr=0.1)
        with optimizer.releasing() if released else contextlib.nullcontext():
            for x in batches(4):
                loss = model(x)
                torch.manual_seed(1)
                optimizer.estimate_hessian(loss)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        return list(model.parameters())

    for one, other in zip(trained(released=False), trained(released=True), strict=True):
        assert torch.equal(one, other)


def test_weights_to_evaluate_with_and_checkpoints_are_there_within_the_block():
    def make(model: Network) -> schuss.Optimizer:
        return schuss.AdamWScheduleFree(model.parameters(), lr=0.1)

    def take(model: Network, optimizer: schuss.Optimizer, x: Tensor) -> None:
        model(x).backward()
        optimizer.step()
        optimizer.zero_grad()

    ordinary, released = network(), network()
    one, other = make(ordinary), make(released)
    first, second, third = batches(3)
    for x in (first, second):
        take(ordinary, one, x)
    saved, weights = deepcopy((one.state_dict(), ordinary.state_dict()))
    take(ordinary, one, third)
    with other.releasing():
        take(released, other, first)
        assert other.state[released.last.bias]["step"] == 1
        take(released, other, second)
        assert_alike(other.state_dict()["state"], saved["state"])
        take(released, other, first)
        released.load_state_dict(weights)
        other.load_state_dict(saved)
        take(released, other, third)
        with one.evaluating(), other.evaluating():
            assert torch.equal(ordinary.last.weight, released.last.weight)
            with pytest.raises(RuntimeError, match="cannot step while evaluating"):
                released(first).backward()
        released.zero_grad()
    take(ordinary, one, first)
    take(released, other, first)  # from here on as ever
    assert torch.equal(ordinary.last.weight, released.last.weight)


def test_state_that_is_changed_within_the_block_is_what_the_next_step_finds():
    def trained(*, released: bool) -> Tensor:
        one = weight(1.0, 2.0)
        optimizer = AdamW([one], lr=0.1)
        with optimizer.releasing() if released else contextlib.nullcontext():
            for number in range(5):
                one.square().sum().backward()
                optimizer.step()
                optimizer.zero_grad()
                if number == 3:
                    optimizer.state[one]["step"] = 40
                    optimizer.state[one]["exp_avg"] = torch.ones(2)
        return one

    assert torch.equal(trained(released=False), trained(released=True))


def assert_alike(one: dict[Any, dict[str, Any]], other: dict[Any, dict[str, Any]]) -> None:
    assert one.keys() == other.keys()
    for key, state in one.items():
        for name, value in state.items():
            torch.testing.assert_close(value, other[key][name], rtol=0, atol=0)


def weight(*numbers: float) -> Tensor:
    return nn.Parameter(torch.tensor(numbers))


def test_a_group_is_stepped_by_step_if_the_model_does_not_have_it():
    body, head = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = SGD([*body.parameters(), *head.parameters()], lr=0.1)
    before = head.weight.detach().clone()
    with optimizer.releasing(body):
        head(body(torch.ones(1, 2))).sum().backward()
        assert body.weight.grad is None
        assert head.weight.grad is not None
        assert torch.equal(head.weight, before)
        grad = head.weight.grad
        optimizer.step()
        assert torch.equal(head.weight, before - 0.1 * grad)
        assert head.weight.grad is grad


def test_groups_may_change_between_the_steps():
    one, two, three = weight(1.0), weight(1.0), weight(1.0)
    optimizer = SGD([one, two], lr=0.25)
    with optimizer.releasing():
        (one + two + three).sum().backward()
        optimizer.step()
        optimizer.add_param_group({"params": [three], "lr": 0.5})
        optimizer.param_groups[0]["params"] = [one]
        optimizer.zero_grad()
        (one + two + three).sum().backward()
        assert three.grad is not None
        optimizer.step()
        assert two.grad is not None  # which is nobody's any more
    assert [x.item() for x in (one, two, three)] == [0.5, 0.75, 0.5]


def test_no_gradients_are_released_outside_of_the_block_however_it_is_left():
    one = weight(1.0)
    optimizer = SGD([one], lr=0.25)
    with pytest.raises(KeyError), optimizer.releasing():
        raise KeyError
    one.sum().backward()
    assert one.item() == 1.0
    assert one.grad is not None


def test_a_step_takes_no_trace_and_no_plan_after_the_first_ones(monkeypatch):
    model = network()
    optimizer = AdamW(model.parameters(), lr=1e-2)
    traced: list[object] = []
    anew = Cohort._traced_anew

    def noted(self: Cohort, *args: Any) -> Any:
        traced.append(self)
        return anew(self, *args)

    monkeypatch.setattr(Cohort, "_traced_anew", noted)
    made: list[object] = []
    init = Cohort.__init__

    def counted(self: Cohort, *args: Any) -> None:
        made.append(self)
        init(self, *args)

    monkeypatch.setattr(Cohort, "__init__", counted)
    counts = []
    with optimizer.releasing():
        for x in batches(6):
            model(x).backward()
            optimizer.step()
            counts.append((len(traced), len(made)))
    assert counts[0][0] > 0
    assert counts[0][1] == 5
    assert counts[2:] == counts[2:3] * 4


def test_a_rule_that_no_engine_can_trace_warns_once():
    class Branching(schuss.Optimizer):
        def update(self, state, group, grad, param):
            return grad if grad.sum() > 0 else -grad

    model = network()
    optimizer = Branching(model.parameters(), defaults={"lr": 0.1})

    def train() -> None:
        with optimizer.releasing():
            for x in batches(2):
                model(x).backward()
                optimizer.step()

    with pytest.warns(UserWarning, match="slower one") as warned:
        train()
    assert len(warned) == 1


# Sums over all gradients.


@pytest.mark.parametrize("engine", ENGINES)
def test_clipping_by_the_norm_of_the_step_before_begins_with_a_measurement(engine):
    one, two = weight(0.0, 0.0), weight(0.0)
    optimizer = SGD([one, two], lr=1.0, transforms=[ClipByGlobalNorm(1.0)], **ENGINES[engine])
    moved = []
    with optimizer.releasing(sums="previous"):
        for factor in (1.0, 2.0, 4.0):
            ((one * torch.tensor([3.0, 0.0])).sum() * factor + 4 * factor * two.sum()).backward()
            optimizer.step()
            moved.append((one[0].item(), two.item()))
    # The norms are 5, 10 and 20. The first only measures; 2 * (3, 4) / 5; 4 * (3, 4) / 10.
    expected = [(0.0, 0.0), (-6 / 5, -8 / 5), (-6 / 5 - 12 / 10, -8 / 5 - 16 / 10)]
    torch.testing.assert_close(torch.tensor(moved), torch.tensor(expected), rtol=1e-6, atol=0)


def test_a_clipped_mean_of_several_batches_forgets_those_that_were_only_measured():
    one = weight(0.0)
    optimizer = SGD([one], lr=1.0, transforms=[Accumulate(2), ClipByGlobalNorm(1.0)])
    moved = []
    with optimizer.releasing(sums="previous"):
        for factor in (1.0, 3.0, 5.0, 7.0):
            (factor * one).sum().backward()
            optimizer.step()
            moved.append(one.item())
    # The first mean is 2, the second 6, which is divided by the norm of the first.
    torch.testing.assert_close(torch.tensor(moved), torch.tensor([0.0, 0.0, 0.0, -3.0]))


@pytest.mark.parametrize("name", SUMMING)
def test_estimates_of_the_distance_go_on_with_the_sums_of_the_step_before(name):
    [info] = schuss.list_optimizers(name)
    make: Any = info.cls
    losses = {}
    for options in ({}, {"sums": "previous"}):
        torch.manual_seed(0)
        model = nn.Linear(6, 1)
        optimizer = make(model.parameters())
        x = torch.randn(64, 6)
        y = x.sum(1, keepdim=True)
        with optimizer.releasing(**options) if options else contextlib.nullcontext():
            for _ in range(300):
                loss = (model(x) - y).square().mean()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        losses[len(options)] = loss.item()
    # All begin at 5; the estimate grows a step later, not otherwise.
    assert losses[1] < max(2 * losses[0], 0.05)


def test_two_passes_of_sums_are_measured_one_after_the_other():
    model = network()
    transforms = [ClipByGlobalNorm(1e-3)]
    optimizer = schuss.Prodigy(model.parameters(), transforms=transforms)
    before = [param.detach().clone() for param in model.parameters()]
    with optimizer.releasing(sums="previous"):
        for number, x in enumerate(batches(3)):
            model(x, uses_all=True).backward()
            optimizer.step()
            moved = [not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True)]
            assert set(moved) == {number == 2}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, transforms=[ClipByGlobalNorm(1.0)]), r"ClipByGlobalNorm.*sums='previous"),
        (schuss.Prodigy, r"Prodigy needs sums over all gradients"),
        (lambda p: SGD(p, transforms=[SAM()]), r"SAM.*second point"),
        (lambda p: SGD(p, transforms=[SkipNonFinite()]), r"SkipNonFinite.*whether to take a step"),
        (lambda p: SGD(p, differentiable=True), r"differentiable=True needs a step apart"),
    ],
)
def test_steps_that_need_all_gradients_are_refused(make, message):
    model = network()
    optimizer = make(model.parameters())
    with pytest.raises(ValueError, match=message), optimizer.releasing():
        pass
    model(batches(1)[0]).backward()
    assert model.first.weight.grad is not None


def test_norms_of_gradients_that_are_held_back_afterwards_are_refused():
    transforms = [ClipByGlobalNorm(1.0), Accumulate(2)]
    optimizer = SGD([weight(1.0)], transforms=transforms)
    refused = pytest.raises(ValueError, match=r"ClipByGlobalNorm.*put it behind")
    with refused, optimizer.releasing(sums="previous"):
        pass


# The backward pass, and what comes between it and the step.


def test_another_gradient_in_a_step_is_refused_until_the_step_is_ended():
    one = weight(1.0)
    optimizer = SGD([one], lr=0.25)
    with optimizer.releasing():
        one.sum().backward()
        with pytest.raises(RuntimeError, match=r"shape \(1,\) has got another gradient"):
            one.sum().backward()
        with pytest.raises(RuntimeError, match="another gradient"):
            optimizer.step()
        optimizer.zero_grad()
        optimizer.step()
        assert one.item() == 0.75
        one.sum().backward()
        optimizer.step()
        assert one.item() == 0.5


def test_after_an_error_in_a_backward_pass_some_parameters_have_been_stepped():
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            raise MemoryError

    early, late = weight(1.0), weight(1.0)
    optimizer = AdamW([early, late], lr=0.25, weight_decay=0.0)
    with optimizer.releasing():
        with pytest.raises(MemoryError):
            (Failing.apply(early * 2) * late).sum().backward()
        assert (early.item(), late.item()) == (1.0, 0.75)
        optimizer.step()
        (early * late).sum().backward()
        optimizer.step()
    assert optimizer.state[early]["step"] == 1
    assert optimizer.state[late]["step"] == 2


def test_a_hyperparameter_that_is_wrong_is_refused_before_a_parameter_moves():
    one, two = weight(1.0), weight(1.0)
    optimizer = SGD([one, two], lr=0.25)
    with optimizer.releasing():
        optimizer.param_groups[0]["lr"] = -1.0
        with pytest.raises(ValueError, match="lr"):
            (one + two).sum().backward()
        optimizer.param_groups[0]["lr"] = 0.5
        optimizer.zero_grad()
        (one + two).sum().backward()
        optimizer.step()
    assert (one.item(), two.item()) == (0.5, 0.5)


def test_a_rule_that_raises_leaves_its_gradient_and_the_step_open():
    class Failing(schuss.Optimizer):
        fails = True

        def update(self, state, group, grad, param):
            if self.fails and grad.numel() == 2:
                raise ArithmeticError
            return grad

    one, two = weight(1.0), weight(1.0, 1.0)
    optimizer = Failing([one, two], defaults={"lr": 0.25}, foreach=False)
    with optimizer.releasing():
        with pytest.raises(ArithmeticError):
            (one.sum() + two.sum()).backward()
        Failing.fails = False
        optimizer.step()
        assert two.tolist() == [0.75, 0.75]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_scaler_of_gradients_is_refused(dtype):
    one = nn.Parameter(torch.ones(2, dtype=dtype))
    optimizer = SGD([one], lr=0.25)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with optimizer.releasing():
        scaler.scale(one.float().sum()).backward()
        with pytest.raises(RuntimeError, match="GradScaler"):
            scaler.step(optimizer)


def test_a_closure_takes_the_steps_in_its_backward_pass():
    one = weight(1.0)
    optimizer = SGD([one], lr=0.25)

    def closure():
        assert torch.is_grad_enabled()
        loss = one.sum()
        loss.backward()
        assert one.grad is None
        return loss.item()

    with optimizer.releasing(), torch.no_grad():
        assert optimizer.step(closure) == 1.0
        assert optimizer.step(closure) == 0.75
        assert optimizer.step(lambda: 3.0) == 3.0  # of a trainer that has called backward before
    assert one.item() == 0.5


def test_a_second_block_is_refused():
    one = weight(1.0)
    optimizer = SGD([one], lr=0.25)
    with optimizer.releasing():
        with (
            pytest.raises(RuntimeError, match="releasing gradients already"),
            optimizer.releasing(),
        ):
            pass
        one.sum().backward()  # the first block is still there
        assert one.item() == 0.75


def test_models_that_are_not_the_optimizers_are_refused():
    optimizer = SGD([weight(1.0)])
    with pytest.raises(ValueError, match="has no parameter of this model"):
        optimizer.releasing(nn.Linear(1, 1)).__enter__()
    with pytest.raises(ValueError, match="sums is 'now'"):
        optimizer.releasing(sums="now").__enter__()
    with pytest.raises(ValueError, match="SGD has no parameter$"):
        SGD().releasing().__enter__()


def test_gradients_for_the_curvature_are_refused_once_they_have_been_stepped_with():
    one = weight(1.0)
    optimizer = schuss.Sophia([one], lr=0.25)
    with optimizer.releasing():
        one.sum().backward()
        with pytest.raises(RuntimeError, match="outside of `with optimizer"):
            optimizer.update_hessian(1)


def test_parameters_that_are_divided_among_ranks_by_replicas_are_refused(tmp_path):
    store = f"file://{tmp_path / 'meeting'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(nn.Linear(2, 2))
        optimizer = SGD(model.parameters())
        with pytest.raises(RuntimeError, match="DistributedDataParallel"):
            optimizer.releasing(model).__enter__()
    finally:
        torch.distributed.destroy_process_group()


# Memory.


def peak_of_gradients(model: nn.Module, x: Tensor, optimizer: schuss.Optimizer | None) -> int:
    """Return the most bytes of gradients that lay in memory at once in a backward pass.

    They are counted each time that one is complete, by a hook that is called before that of a
    block: with an optimizer, which releases gradients, or without.
    """
    known: list[tuple[Any, int]] = []
    peaks: list[int] = []

    def see(param: Tensor) -> None:
        grad: Any = param.grad
        known.append((weakref.ref(grad), grad.nbytes))
        peaks.append(sum(size for alive, size in known if alive() is not None))

    for param in model.parameters():
        param.register_post_accumulate_grad_hook(see)
    with optimizer.releasing(model) if optimizer else contextlib.nullcontext():
        model(x).sum().backward()
    return max(peaks)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_of_one_layer_at_a_time_are_in_memory(engine):
    def model() -> nn.Module:
        return nn.Sequential(*(nn.Linear(64, 64) for _ in range(10)))

    x, layer = torch.ones(2, 64), 4 * (64 * 64 + 64)
    assert peak_of_gradients(model(), x, None) == 10 * layer
    released = model()
    optimizer = AdamW(released.parameters(), **ENGINES[engine])
    assert peak_of_gradients(released, x, optimizer) <= layer

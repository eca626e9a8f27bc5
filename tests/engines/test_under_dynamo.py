"""Steps under `torch.compile`: one program, which agrees with the eager steps.

`aot_eager` is inductor without its C++ compiler; it also decides which numbers become constants.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

import schuss
from schuss import Optimizer
from schuss.contract import Pass
from schuss.engines import CompiledSteps, Engine
from schuss.storage.master import weight_of
from tests.algorithms import TRACED
from tests.conformance.trajectories import ON_THE_HOST
from tests.covers import EXHAUSTIVE

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Detected call of `lr_scheduler.step\(\)` before"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inductor's own
]

STEPS = 12
# aot_autograd of torch 2.13 loses what is done in place to a float64 scalar on the CPU, also in
# torch.optim: a scalar parameter is tested in float32.
SHAPES = ((5, 3), (7,))
# Every branch of a schedule and of RAdam (from step 6 on) is taken within the steps.
OPTIONS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9},
    "adamwarmup": {"warmup": 4},
    "adamwarmupcosinedecay": {"warmup": 4, "total_steps": 10},
    "noam": {"warmup": 4, "d_model": 4},
}
ALL = [name for name in TRACED if name not in ON_THE_HOST]
# The first step of these puts a tensor into the state which the others find there.
IN_TWO_PROGRAMS = ("sgd", "amsgrad", "adan", "adopt", "novograd", "ldog")
# Schedules, states that change, norms, rows and columns, numbers that a rule computes with.
OF_EVERY_KIND = (*OPTIONS, *IN_TWO_PROGRAMS[1:], "adafactor", "lamb", "nadam", "radam")

Run = Callable[[], None]
Create = Callable[[Any], Optimizer]


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def named(name: str, **options: Any) -> Create:
    own = {"lr": 0.01, **OPTIONS.get(name, {}), **options}
    return lambda params: schuss.create_optimizer(name, params, **own)


def programs() -> int:
    return counters["stats"]["unique_graphs"]


class Walk:
    """Walks parameters along random gradients; every step is followed by one of a scheduler."""

    def __init__(
        self, create: Create, dtype: torch.dtype = torch.float64, shapes: Any = SHAPES
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        self._draw = lambda shape: torch.randn(shape, generator=generator, dtype=dtype)
        self.params = [nn.Parameter(self._draw(shape)) for shape in shapes]
        self.optimizer = create(self.params)
        self._scheduler = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)

    def step(self) -> None:
        # Past the wrapper that a scheduler puts around the instance's `step`, which Dynamo skips.
        type(self.optimizer).step(self.optimizer)

    def compiled(self, **options: Any) -> Run:
        return torch.compile(self.step, **{"backend": "aot_eager", "fullgraph": True, **options})

    def take(self, step: Run, steps: int = STEPS) -> None:
        for _ in range(steps):
            for param in self.params:
                param.grad = self._draw(param.shape)
            step()
            self._scheduler.step()

    @property
    def place(self) -> Tensor:
        flat = [
            torch.view_as_real(p) if p.is_complex() else p for p in map(Tensor.detach, self.params)
        ]
        return torch.cat([p.flatten() for p in flat])


def eager(create: Create, dtype: torch.dtype = torch.float64, steps: int = STEPS) -> Walk:
    """Take steps on the loop, whose rule it is that a compiled step traces too."""

    def on_the_loop(params: Any) -> Optimizer:
        return create([{"params": params, "fused": False}])

    walk = Walk(on_the_loop, dtype)
    walk.take(walk.step, steps)
    return walk


def assert_agree(walk: Walk, expected: Walk, tolerance: float = 1e-13) -> None:
    torch.testing.assert_close(walk.place, expected.place, rtol=tolerance, atol=tolerance)


# Programs. `fullgraph=True` raises where the graph would break.


# Rprop reads the learning rate when its state begins, where it is a constant of the program.
@pytest.mark.parametrize(
    "name", [name for name in ALL if name != "rprop"] if EXHAUSTIVE else OF_EVERY_KIND
)
def test_a_float_learning_rate_takes_another_program_once(name: str) -> None:
    walk = Walk(named(name))
    step = walk.compiled()
    walk.take(step, 2)
    with torch._dynamo.config.patch(error_on_recompile=True):
        walk.take(step, STEPS - 2)
    assert programs() == 2
    assert_agree(walk, eager(named(name)))


@pytest.mark.parametrize("name", ["amsgrad", "nadam", "noam", "radam", "sgd"])
def test_a_tensor_learning_rate_takes_one_program(name: str) -> None:
    def create(params: list[nn.Parameter]) -> Optimizer:
        return named(name, lr=torch.tensor(0.01, dtype=torch.float64))(params)

    walk = Walk(create)
    walk.take(walk.compiled(dynamic=False))
    assert programs() == (2 if name in IN_TWO_PROGRAMS else 1)
    assert_agree(walk, eager(create))


def test_a_dynamic_step_takes_one_program() -> None:
    walk = Walk(named("nadam"))
    walk.take(walk.compiled(dynamic=True))
    assert programs() == 1


def test_a_whole_training_step_breaks_only_where_torch_does() -> None:
    def breaks(create: Callable[..., torch.optim.Optimizer]) -> set[str]:
        torch._dynamo.reset()
        counters.clear()
        model = nn.Linear(3, 2)
        optimizer = create(model.parameters())

        @torch.compile(backend="eager")
        def train(x: Tensor) -> None:
            model(x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

        for _ in range(3):
            train(torch.ones(4, 3))
        return set(counters["graph_break"])

    assert breaks(schuss.AdamW) < breaks(torch.optim.AdamW)


def test_state_is_begun_by_gradients_of_the_same_program() -> None:
    def create(params: list[nn.Parameter]) -> Optimizer:
        return schuss.NAdam(params, lr=0.1)

    places = []
    for decorate in (lambda f: f, torch.compile(backend="aot_eager", fullgraph=True)):
        param = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
        optimizer = create([param])

        def train(param: nn.Parameter = param, optimizer: Optimizer = optimizer) -> None:
            param.grad = 2 * param.detach()
            optimizer.step()
            param.grad = None

        step = decorate(train)
        for _ in range(4):
            step()
        places.append(param.detach())
    torch.testing.assert_close(*places, rtol=1e-14, atol=0)


# Agreement


@pytest.mark.parametrize(
    ("name", "options"),
    [("adamw", {"maximize": True}), ("nadam", {"master_weights": True}), ("sgd", {})],
)
def test_half_precision_agrees(name: str, options: dict[str, Any]) -> None:
    walk = Walk(named(name, **options), torch.bfloat16)
    walk.take(walk.compiled())
    # The computation is in float32, and its last bits rarely matter after the rounding.
    assert_agree(walk, eager(named(name, **options), torch.bfloat16), tolerance=2**-7)


def test_scalar_parameters_agree() -> None:
    walk, expected = (Walk(named("nadam"), torch.float32, [()]) for _ in range(2))
    walk.take(walk.compiled())
    expected.take(expected.step)
    assert_agree(walk, expected, tolerance=3e-7)  # of a few roundings


def test_complex_parameters_agree() -> None:
    walk = Walk(named("radam"), torch.complex128)
    walk.take(walk.compiled())
    assert_agree(walk, eager(named("radam"), torch.complex128))


class Warmed(Optimizer):
    """A rule with an `if` on the step, which a compiled graph cannot have."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def init_state(self, state: Any, group: Any, param: Tensor) -> None:
        state["step"] = 0

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Tensor:
        return grad if state["step"] > 3 else grad.sign()


def test_a_rule_that_breaks_the_graph_agrees() -> None:
    def create(params: list[nn.Parameter]) -> Optimizer:
        return Warmed(params, lr=0.1)

    walk = Walk(create)
    walk.take(walk.compiled(fullgraph=False))
    assert_agree(walk, eager(create))


class Squared(Optimizer):
    """A rule with a product of matrices, which `torch.autocast` would round."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1})

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Tensor:
        return grad @ grad.mT @ grad


def test_a_compiled_step_leaves_autocast() -> None:
    walk, expected = (Walk(Squared, torch.float32, [(3, 3)]) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        walk.take(walk.compiled(backend="eager"), 2)
    expected.take(expected.step, 2)
    assert_agree(walk, expected, tolerance=1e-6)  # of a few roundings


# Between compiled steps and others


@pytest.mark.parametrize("name", ["nadam", "sophia"])
def test_numbers_are_numbers_again_after_an_eager_step(name: str) -> None:
    walk = Walk(named(name))
    walk.take(walk.compiled(), 3)
    walk.take(walk.step, 2)
    expected = eager(named(name), steps=5)
    for param, other in zip(walk.params, expected.params, strict=True):
        state, theirs = walk.optimizer.state[param], expected.optimizer.state[other]
        assert {k: type(v) for k, v in state.items()} == {k: type(v) for k, v in theirs.items()}
        assert state["step"] == 5
        assert state.get("mu_product") == theirs.get("mu_product")


def test_eager_steps_in_between_take_two_more_programs() -> None:
    walk = Walk(named("sophia"))
    step = walk.compiled()
    for _ in range(3):
        walk.take(step, 2)
        walk.take(walk.step, 1)
    assert programs() <= 4
    with torch._dynamo.config.patch(error_on_recompile=True):
        walk.take(step, 2)
        walk.take(walk.step, 1)
    assert_agree(walk, eager(named("sophia")))


def test_the_curvature_of_sophia_may_be_estimated_in_between() -> None:
    def walked(compiled: bool) -> Walk:
        walk = Walk(named("sophia"))
        optimizer = walk.optimizer
        assert isinstance(optimizer, schuss.Sophia)
        step = walk.compiled() if compiled else walk.step
        for _ in range(3):
            walk.take(lambda: optimizer.update_hessian(4), 1)
            walk.take(step, 3)
        return walk

    assert_agree(walked(True), walked(False))


def test_checkpoints_are_those_of_eager_steps() -> None:
    walk = Walk(named("nadam"))
    step = walk.compiled()
    walk.take(step, 5)
    saved, expected = walk.optimizer.state_dict(), eager(named("nadam"), steps=5)
    torch.testing.assert_close(saved["state"], expected.optimizer.state_dict()["state"])
    assert [type(value) for value in saved["state"][0].values()] == [Tensor, Tensor, Tensor, float]
    walk.optimizer.load_state_dict(copy.deepcopy(saved))
    walk.take(step, 5)
    assert_agree(walk, eager(named("nadam"), steps=10))


# Inductor. Each of these it gets wrong if it is told about it in the straightforward way.

needs_a_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a compiler")


def inductor_and_eager(
    create: Create, dtype: torch.dtype, before: Callable[[Optimizer, int], None]
) -> list[Walk]:
    walks = [Walk(create, dtype, [(9,)]) for _ in range(2)]
    for walk, step in zip(
        walks, (walks[0].compiled(backend="inductor"), walks[1].step), strict=True
    ):
        for number in range(5):
            before(walk.optimizer, number)
            walk.take(step, 1)
    return walks


@needs_a_compiler
def test_inductor_uses_the_learning_rate_of_every_step() -> None:
    walks = inductor_and_eager(named("adamw"), torch.float64, lambda optimizer, number: None)
    assert programs() == 2
    assert_agree(*walks)


@needs_a_compiler
def test_inductor_uses_the_momentum_of_every_step() -> None:
    def cycle(optimizer: Optimizer, number: int) -> None:
        optimizer.param_groups[0]["momentum"] = 0.9 - 0.1 * number

    assert_agree(*inductor_and_eager(named("sgd", nesterov=True), torch.float64, cycle))


@needs_a_compiler
def test_inductor_keeps_all_of_a_master_weight() -> None:
    create = named("sgd", master_weights=True)
    walk, expected = inductor_and_eager(create, torch.bfloat16, lambda optimizer, number: None)
    for param, other in zip(walk.params, expected.params, strict=True):
        master, theirs = (
            weight_of(w.optimizer.state[p], p) for w, p in ((walk, param), (expected, other))
        )
        torch.testing.assert_close(master, theirs, rtol=3e-7, atol=3e-7)  # of a few roundings


def test_what_reads_sums_on_the_host_runs_outside_of_the_program():
    ends = []
    for compiled in (False, True):
        weight = nn.Parameter(torch.ones(2))
        optimizer = schuss.Prodigy([weight], d0=0.1)
        step = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
        for grad in (1.0, 2.0, -1.0):
            weight.grad = torch.full((2,), grad)
            step()
        ends.append(weight.detach())
    assert torch.equal(*ends)


# The part that takes these steps, by itself, where nobody compiles


class Owner:
    """The owner of one parameter, whose rule counts and whose state has a number."""

    def __init__(self) -> None:
        self.param = torch.tensor([1.0])
        self.param.grad = torch.tensor([3.0])
        options = {"maximize": False, "master_weights": False, "differentiable": False}
        self.param_groups = [{"params": [self.param], "lr": 0.5, **options}]
        self.engine, self.steps = Engine(), CompiledSteps()

    def begin_state(self, state, group, param):
        state.update(step=0, name="kept")

    def begin_compiled(self):
        self.steps.begin(self, self.engine)

    def rule(self, state, group, grad, param):
        state["step"] += 1
        param.sub_(group["lr"] * grad * group.get("sums_over_all", {}).get("grad", 1))


def test_numbers_are_tensors_from_a_compiled_step_until_its_end():
    owner = Owner()
    owner.steps.end(owner, owner.engine)  # nothing to end
    for _ in range(2):
        owner.steps.run(owner, owner.engine, [owner.rule], None, [])
    state = owner.engine.kept.states[owner.param]
    assert torch.equal(state["step"], torch.tensor(2.0, dtype=torch.float64))
    assert state["name"] == "kept"
    assert owner.param.item() == 1 - 2 * 0.5 * 3
    owner.steps.end(owner, owner.engine)
    assert state["step"] == 2
    assert type(state["step"]) is int
    assert owner.engine.is_exposed


def test_sums_and_the_scale_of_gradients_reach_the_rule_of_a_compiled_step():
    def measure(state, group, grad, param):
        return {"grad": grad.sum()}

    owner = Owner()
    passes = [Pass([measure], [None])]
    owner.steps.run(owner, owner.engine, [owner.rule], torch.tensor(2.0), passes)
    # The gradient is 3 / 2, and so is the sum.
    assert owner.param.item() == 1 - 0.5 * 1.5 * 1.5

"""A rule that is traced once and repeated computes the bits that a trace in every step does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import schuss
from schuss.composite import everything
from schuss.composite import named as named_as
from schuss.contract import Work
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.contents import Member
from schuss.engines.cohorts.divided import divided
from schuss.engines.program.listing import listing
from schuss.engines.tracing.replay import Replay
from schuss.engines.tracing.tracer import Trace
from schuss.repeating import pure
from tests.algorithms import OF_MATRICES, TRACED
from tests.conformance.strangers import Ruled
from tests.transforms.test_transforms import ALL

STEPS = 1000

Expression = Callable[[Mapping[str, Any]], Any]
"""Computes a number from others by name."""

LEAVES = st.sampled_from(["step", "lr", "first", "second", "kept"]).map(
    lambda name: lambda numbers: numbers[name]
) | st.sampled_from([-2.0, -1, 0.5, 0, 1, 3, 0.1]).map(lambda value: lambda numbers: value)


def _extended(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    def binary(name: str, x: Expression, y: Expression) -> Expression:
        return {
            "+": lambda n: x(n) + y(n),
            "-": lambda n: x(n) - y(n),
            "*": lambda n: x(n) * y(n),
            "/": lambda n: x(n) / (abs(y(n)) + 1),
            "//": lambda n: x(n) // (abs(y(n)) + 1),
            "%": lambda n: x(n) % (abs(y(n)) + 1),
            "**": lambda n: (abs(x(n)) + 0.5) ** min(y(n), 2),
            "max": lambda n: max(x(n), y(n)),
            "min": lambda n: min(x(n), y(n)),
            "if": lambda n: x(n) if y(n) > n["step"] % 7 else -x(n),
            "not": lambda n: x(n) if not y(n) else abs(y(n)),
            "caught": lambda n: _caught(lambda: x(n) / y(n)),
            "sum": lambda n: sum(x(n) / (1 + k) for k, _ in enumerate(f"{y(n)!r:.3}")),
            "kinds": lambda n: x(n) if isinstance(2 ** (3 - y(n)), int) else y(n),
        }[name]

    def read(name: str, x: Expression) -> Expression:
        return {
            "sqrt": lambda n: math.sqrt(abs(x(n))),
            "float": lambda n: float(x(n)),
            "format": lambda n: len(f"{x(n):.3f}"),
            "ceil": lambda n: math.ceil(x(n)),
            "floor": lambda n: math.floor(x(n)),
            "round": lambda n: round(x(n), 2),
            "index": lambda n: (0.1, 0.2, 0.7)[int(x(n)) % 3],
            "divmod": lambda n: divmod(x(n), 3)[1],
        }[name]

    names = ["+", "-", "*", "/", "//", "%", "**", "max", "min", "if", "not"]
    of_two = st.sampled_from([*names, "caught", "sum", "kinds"])
    read_by = ["sqrt", "float", "format", "ceil", "floor", "round", "index", "divmod"]
    return st.builds(binary, of_two, parts, parts) | st.builds(
        read, st.sampled_from(read_by), parts
    )


def _caught(quotient: Callable[[], Any]) -> Any:
    try:
        return quotient()
    except ZeroDivisionError:
        return 0.5


EXPRESSIONS = st.recursive(LEAVES, _extended, max_leaves=6)


def cohort_of(optimizer: schuss.Optimizer) -> Cohort:
    """Return the parameters of an optimizer as they are after two steps."""
    (group,) = optimizer.param_groups
    (param,) = group["params"]
    for _ in range(2):
        param.grad = torch.ones_like(param)
        optimizer.step()
    (known,) = optimizer._engine._known
    member = Member(param, optimizer.state[param], param.dtype)
    (cohort,) = divided(group, [member], known.needs)
    return cohort


def bits(trace: Trace) -> tuple[Any, ...]:
    numbers = [x.hex() for x in trace.arguments]
    left = [(k, type(v), v.hex() if type(v) is float else v) for k, v in trace.scalars.items()]
    stages = None if trace.cut is None else listing(trace.cut)
    return trace.program, numbers, left, trace.dropped, stages


def changed(group: dict[str, Any], step: int) -> None:
    """Change the learning rate as a schedule does, and at times other numbers."""
    group["lr"] = 1e-3 * (1 + step % 13) / (1 + step / 50)
    group["weight_decay"] = 0.0 if step % 97 < 20 else 0.01 * (step % 5)
    if step % 29 == 0 and "betas" in group:
        first, *rest = group["betas"]
        group["betas"] = (min(0.95, first + 0.001), *rest)


class Counted:
    """Counts how often a trace was repeated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.repeated = 0
        again = Replay.again

        def counting(replay: Replay, *arguments: Any) -> Trace | None:
            found = again(replay, *arguments)
            self.repeated += found is not None
            return found

        monkeypatch.setattr(Replay, "again", counting)


def same(group: dict[str, Any]) -> dict[str, Any]:
    return group


def with_tensors(*keys: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what puts tensors in place of some rates of a group."""

    def seen(group: dict[str, Any]) -> dict[str, Any]:
        rates: dict[str, Any] = {}
        if "lr" in keys:
            rates["lr"] = torch.tensor(group["lr"])
        if "betas" in keys:
            rates["betas"] = tuple(torch.tensor(b, dtype=torch.float64) for b in group["betas"])
        return {**group, **rates}

    return seen


def compare(
    cohort: Cohort,
    work: Work,
    group: dict[str, Any],
    steps: int,
    seen: Callable[[dict[str, Any]], dict[str, Any]] = same,
) -> None:
    """Trace a rule in every step, and repeat it, from the numbers that the last step has left.

    A tensor as the first operand of a product is its second one in a trace that is repeated.
    """
    compared = bits if seen is same else lambda trace: bits(trace)[1:4]
    anew = Work(work.rule, work.grad_scale)
    for step in range(3, steps + 3):
        changed(group, step)
        # torch.manual_seed takes three quarters of a millisecond: more than all the rest.
        torch.default_generator.manual_seed(step)
        (expected,) = cohort.trace(anew, seen(group))
        torch.default_generator.manual_seed(step)
        (found,) = cohort.trace(work, seen(group))
        assert compared(found.trace) == compared(expected.trace)
        cohort.take([found])


@settings(max_examples=8)
@given(EXPRESSIONS, EXPRESSIONS, st.booleans())
def test_rules_at_random_compute_the_same_numbers_for_a_thousand_steps(one, other, of_tensors):
    def rule(state, group, grad, param):
        state["step"] += 1
        first, second = group["betas"]
        known = {"step": state["step"], "lr": group["lr"], "first": first, "second": second}
        known["kept"] = state["kept"]
        state["kept"] = 1 / (1 + abs(one(known)))
        param.sub_(grad, alpha=other({**known, "kept": state["kept"]}))

    def start(state, param):
        state.update(step=0, kept=1.0)

    optimizer = Ruled([nn.Parameter(torch.ones(2))], rule, start, foreach=True)
    optimizer.param_groups[0]["betas"] = (0.5, 0.75)
    try:
        cohort = cohort_of(optimizer)
        seen = (STEPS // 10, with_tensors("lr", "betas")) if of_tensors else (STEPS, same)
        compare(cohort, Work(rule, pure="rule"), optimizer.param_groups[0], *seen)
    except (ArithmeticError, ValueError):  # too large a power, say: of the rule itself
        return


def test_a_number_is_rounded_up_and_down_anew(monkeypatch):
    def rule(state, group, grad, param):
        state["step"] += 1
        up, down = math.ceil(state["step"] / 3), math.floor(state["step"] / 7)
        param.sub_(grad, alpha=up + 100 * down)

    optimizer = Ruled([nn.Parameter(torch.ones(2))], rule, lambda s, p: s.update(step=0))
    counted = Counted(monkeypatch)
    compare(cohort_of(optimizer), Work(rule, pure="rule"), optimizer.param_groups[0], 60)
    assert counted.repeated == 59


MEASURED = (schuss.ClipByGlobalNorm, schuss.SkipNonFinite)
"""Transforms that put sums of the gradients into the group, as tensors."""


def created(name: str, *transforms: schuss.Transform) -> schuss.Optimizer:
    param = nn.Parameter(torch.ones(4, 3))
    return schuss.create_optimizer(name, [param], foreach=True, transforms=transforms)


READING = {
    "nadam": "it rounds the product of its momenta as torch does, by a tensor",
}
"""Optimizers that are traced in every step, and why."""


@pytest.mark.parametrize("name", OF_MATRICES)
def test_every_optimizer_of_matrices_computes_the_same_numbers(name, monkeypatch):
    steps = 40  # a trace takes ten times as long as one of numbers alone
    optimizer = created(name)
    cohort = cohort_of(optimizer)
    counted = Counted(monkeypatch)
    rule = optimizer.whole_rule()
    compare(cohort, Work(rule, pure=pure(optimizer, rule)), optimizer.param_groups[0], steps)
    assert counted.repeated > 0.85 * steps


@pytest.mark.parametrize("name", TRACED)
def test_every_optimizer_computes_the_same_numbers_for_a_thousand_steps(name, monkeypatch):
    optimizer = created(name)
    cohort = cohort_of(optimizer)
    counted = Counted(monkeypatch)
    rule = optimizer.whole_rule()
    compare(cohort, Work(rule, pure=pure(optimizer, rule)), optimizer.param_groups[0], STEPS)
    assert (counted.repeated > 0.95 * STEPS) is (name not in READING)


COMPARING = frozenset(
    """
    adafactor adamwschedulefree asgd dadaptadam dadaptlion dadaptsgd madgrad prodigy
    radamschedulefree sgdschedulefree
    """.split()  # noqa: SIM905  # a list of names to be read
)
"""Optimizers that compare their learning rate, or keep what they make of it in the state."""


@pytest.mark.parametrize("name", [*TRACED, *OF_MATRICES])
def test_a_learning_rate_in_a_tensor_is_read_anew_in_every_step(name, monkeypatch):
    optimizer = created(name)
    cohort = cohort_of(optimizer)
    counted = Counted(monkeypatch)
    rule, (group,) = optimizer.whole_rule(), optimizer.param_groups
    steps = 12
    compare(cohort, Work(rule, pure=pure(optimizer, rule)), group, steps, with_tensors("lr"))
    assert (counted.repeated > steps // 2) is (name not in {*READING, *COMPARING})


@pytest.mark.parametrize("name", ["adamw", "muon", "soap"])
def test_decay_rates_in_tensors_are_read_anew_in_every_step(name, monkeypatch):
    optimizer = created(name)
    cohort = cohort_of(optimizer)
    counted = Counted(monkeypatch)
    rule, (group,) = optimizer.whole_rule(), optimizer.param_groups
    if name == "muon":
        group["momentum"] = torch.tensor(0.9)
        seen = with_tensors("lr")
    else:
        seen = with_tensors("lr", "betas")
    compare(cohort, Work(rule, pure=pure(optimizer, rule)), group, 40, seen)
    assert counted.repeated > 30


def test_a_rate_is_traced_anew_where_it_becomes_another_kind_of_tensor(monkeypatch):
    def rule(state, group, grad, param):
        param.sub_(grad, alpha=group["lr"] * 3.3)

    optimizer = Ruled([nn.Parameter(torch.ones(2))], rule, lambda s, p: None, foreach=True)
    cohort, counted = cohort_of(optimizer), Counted(monkeypatch)
    group = {**optimizer.param_groups[0]}
    rates: list[Any] = [
        torch.tensor(0.1),
        torch.tensor(0.3),
        torch.tensor(0.1, dtype=torch.float64),
        0.1,
    ]
    for lr, times in zip(rates, (0, 1, 1, 1), strict=True):
        (part,) = cohort.trace(Work(rule, pure="rule"), {**group, "lr": lr})
        assert part.trace.arguments == [-float(lr * 3.3)]
        assert counted.repeated == times


GIVEN: dict[str, Callable[[Any], Any]] = {
    "root": torch.sqrt,
    "tensor": torch.tensor,
    "array": lambda lr: lr.numpy().item(),
    "choice": lambda lr: torch.where(lr > 0.2, lr, 0.5),
    "stack": lambda lr: torch.stack([lr, lr]).sum(),
    "product": lambda lr: torch.ones(()).mul(lr),
    "kind": lambda lr: lr if isinstance(lr, (int, float)) else lr * 2,
    "bound": lambda lr: lr.clamp(max=0.2),
}
"""Functions that a rule gives its learning rate to. Those of torch take whatever says that it is a
tensor for one, and read its memory."""


@pytest.mark.filterwarnings("ignore:.*copy construct from a tensor")
@pytest.mark.parametrize("name", GIVEN)
def test_what_torch_does_with_a_rate_is_done_in_every_step(name):
    def rule(state, group, grad, param):
        param.sub_(grad * GIVEN[name](group["lr"]))

    optimizer = Ruled([nn.Parameter(torch.ones(2))], rule, lambda s, p: None, foreach=True)
    group = optimizer.param_groups[0]
    group["lr"] = torch.tensor(0.1)
    compare(cohort_of(optimizer), Work(rule, pure="rule"), group, 12, with_tensors("lr"))


@pytest.mark.parametrize("engine", ["fused", "foreach"])
@pytest.mark.parametrize("name", ["adamw", "soap"])
def test_a_learning_rate_that_is_written_to_is_that_of_the_next_step(name, engine):
    def stepped(**options):
        param = nn.Parameter(torch.ones(4, 3, dtype=torch.float64))
        lr = torch.tensor(0.1)
        optimizer = schuss.create_optimizer(name, [param], lr=lr, **options)
        for step in range(6):
            param.grad = (torch.arange(12.0).reshape(4, 3).double() + step).cos()
            optimizer.step()
            lr.mul_(0.7)
        return param.detach()

    found, expected = stepped(**{engine: True}), stepped(foreach=False)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transform", [t for t in ALL if not isinstance(t, MEASURED)], ids=repr)
def test_every_transform_computes_the_same_numbers_for_a_thousand_steps(transform, monkeypatch):
    optimizer = created("adamw", transform)
    cohort = cohort_of(optimizer)
    counted = Counted(monkeypatch)
    rule = optimizer.whole_rule()
    compare(cohort, Work(rule, 512.0, pure(optimizer, rule)), optimizer.param_groups[0], STEPS)
    assert counted.repeated > 0.95 * STEPS


class Counting(schuss.Optimizer):
    """A rule that notes how often it is called."""

    traced_once = True
    calls: ClassVar[list[int]] = []

    lr: float = schuss.rate(default=0.5)

    def update(self, state, group, grad, param):
        self.calls.append(1)
        return grad * group["lr"]


@pytest.mark.parametrize("of_parts", [False, True])
def test_a_rule_is_called_once_for_parameters_with_names_and_in_a_composite(of_parts):
    model = torch.nn.Linear(3, 2)
    named = list(model.named_parameters())
    if of_parts:
        route = [("a", named_as("weight")), ("b", everything)]
        optimizer: schuss.Optimizer = schuss.Composite(
            model, a=Counting(lr=0.25), b=Counting(), route=route, fused=True
        )
    else:
        optimizer = Counting(named, fused=True)
    Counting.calls.clear()
    for _ in range(4):
        for param in model.parameters():
            param.grad = torch.ones_like(param)
        optimizer.param_groups[0]["lr"] *= 0.5
        optimizer.step()
    assert len(Counting.calls) == 1 + of_parts

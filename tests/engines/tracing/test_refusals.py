"""A rule that catches what ends a trace, and goes on, is run as it stands."""
# ruff: noqa: BLE001  # as rules of strangers do

import contextlib
import math

import pytest
import torch
from torch import nn

from schuss.contract import Work
from schuss.engines.errors import ShapeRead, UntraceableError, refused_at_the_end, withdraw
from tests.conformance.strangers import Ruled
from tests.engines.tracing.test_replay import cohort_of, compare


def branching(state, group, grad, param):
    try:
        share = 0.5 if grad.abs().max() > 1 else 1.0
    except:  # noqa: E722
        share = 100.0
    param.sub_(grad, alpha=share)


def reading(state, group, grad, param):
    share = 100.0
    with contextlib.suppress(RuntimeError):
        share = grad.norm().item()
    param.sub_(grad, alpha=share)


def telling_otherwise(state, group, grad, param):
    try:
        share = float(grad.sum())
    except Exception as error:
        raise KeyError("sum") from error
    param.sub_(grad, alpha=share)


def asking_for_the_shape(state, group, grad, param):
    try:
        share = grad.shape[0] / 10
    except Exception:
        share = 100.0
    param.sub_(grad, alpha=share)


def taking_a_logarithm(state, group, grad, param):
    state["step"] += 1
    try:
        share = math.log(state["step"])
    except Exception:
        share = 100.0
    param.sub_(grad, alpha=share)


def comparing(state, group, grad, param):
    state["step"] += 1
    try:
        share = 1.0 if state["step"] > 2 else 0.5
    except Exception:
        share = 100.0
    param.sub_(grad, alpha=share)


def stepped(rule, *, alike, **engine):
    """Return parameters after steps in which some have no gradient, and the engine of the last."""
    random = torch.Generator().manual_seed(0)
    sizes = [(4,)] * 9 if alike else [(3,), (4,), (5,)]
    params = [nn.Parameter(torch.randn(size, generator=random)) for size in sizes]
    optimizer = Ruled(params, rule, lambda state, param: state.update(step=0), **engine)
    for step in range(4):
        for number, param in enumerate(params):
            grad = torch.randn(param.shape, generator=random)
            param.grad = grad if alike or (step + number) % 3 else None
        optimizer.step()
    return torch.cat([param.detach() for param in params]), optimizer.explain().cohorts[0].engine


@pytest.mark.filterwarnings("ignore:Ruled cannot run")
@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize(
    ("rule", "engine"),
    [
        (branching, "loop"),
        (reading, "loop"),
        (telling_otherwise, "loop"),
        (asking_for_the_shape, "fused"),
        (taking_a_logarithm, "fused"),
        (comparing, "fused"),
    ],
)
def test_a_rule_that_catches_a_refusal_does_what_it_does_on_the_loop(rule, engine, alike):
    expected, _ = stepped(rule, alike=alike, foreach=False)
    found, on = stepped(rule, alike=alike)
    assert on == engine
    torch.testing.assert_close(found, expected)


def test_a_refusal_that_is_caught_ends_the_block_and_one_that_is_withdrawn_does_not():
    def catching():
        for refusal in (ShapeRead(), UntraceableError("this")):
            with contextlib.suppress(Exception):
                raise refusal

    with pytest.raises(ShapeRead), refused_at_the_end():
        catching()
    with refused_at_the_end():
        try:
            raise UntraceableError("that")
        except UntraceableError as refusal:
            withdraw(refusal)
    with contextlib.suppress(ShapeRead), refused_at_the_end():
        raise ShapeRead
    with refused_at_the_end():
        pass


def test_a_part_of_a_tensor_is_refused_by_the_program_and_taken_by_a_function():
    def rule(state, group, grad, param):
        param.sub_(grad @ grad.T @ grad).sub_(grad[:, :2].sum() * grad)

    grad, params = torch.randn(3, 3), [nn.Parameter(torch.ones(3, 3)) for _ in range(2)]
    for param, options in zip(params, ({"foreach": True}, {"foreach": False}), strict=True):
        param.grad = grad.clone()
        Ruled([param], rule, **options).step()
    torch.testing.assert_close(*params)


def inverting(grad):
    return torch.linalg.inv(grad)


def inverting_or_not(grad):
    try:
        return torch.linalg.inv(grad)
    except torch.linalg.LinAlgError:
        return torch.eye(3)


def inverting_the_second(grad):
    first = torch.linalg.inv(grad @ grad.T + torch.eye(3))
    with contextlib.suppress(Exception):
        return first + torch.linalg.inv(grad)
    return first


@pytest.mark.filterwarnings("ignore:Ruled cannot run")
@pytest.mark.parametrize("count", [2, 9])
@pytest.mark.parametrize(
    ("direction", "is_cut"),
    [(inverting, True), (inverting_or_not, False), (inverting_the_second, False)],
)
def test_a_rule_that_catches_the_error_of_a_decomposition_is_not_cut(direction, is_cut, count):
    calls = []

    def rule(state, group, grad, param):
        calls.append(1)
        param.sub_(direction(grad))

    def steps(**engine):
        params = [nn.Parameter(torch.zeros(3, 3)) for _ in range(count)]
        optimizer = Ruled(params, rule, **engine)
        for number in range(3):
            for param in params:
                param.grad = torch.eye(3)
            if number == 1 and not is_cut:
                params[1].grad = torch.ones(3, 3)  # which has no inverse
            optimizer.step()
        return torch.stack([param.detach() for param in params]), optimizer

    expected, _ = steps(foreach=False)
    found, optimizer = steps()
    torch.testing.assert_close(found, expected)
    assert (optimizer.explain().cohorts[0].engine == "fused") is is_cut
    if is_cut:
        calls.clear()
        optimizer.step()
        assert len(calls) == 1  # errors are tried in the first trace only


def dividing(numbers):
    try:
        return 1 / (numbers["step"] - 5)
    except ZeroDivisionError:
        return 0.5


def rooted(numbers):
    root = (1 - numbers["step"] / 8) ** 0.5  # complex from step 9 on, which is no larger or smaller
    try:
        return 1.0 if root > 0.5 else 2.0
    except TypeError:
        return 3.0


def whole_or_not(numbers):
    return 1.0 if isinstance(2 ** (6 - numbers["step"]), int) else 2.0


def left_whole_or_not(numbers):
    numbers["power"] = 2 ** (6 - numbers["step"])
    return 1.0


def remainder(numbers):
    try:
        return 1 % (numbers["step"] % 4)
    except ArithmeticError:
        return 9.0


def caught_in_full(numbers):
    try:
        return math.sqrt(numbers["step"])
    except Exception:
        return 7.0


def bits(numbers):
    return (numbers["step"] & 7) + (numbers["step"] >> 1) + ~numbers["step"]


@pytest.mark.parametrize(
    "number",
    [dividing, rooted, whole_or_not, left_whole_or_not, remainder, caught_in_full, bits],
)
@pytest.mark.parametrize("begin", [0, 3, 10])
def test_a_rule_that_catches_errors_of_numbers_computes_the_same_numbers(number, begin):
    def rule(state, group, grad, param):
        state["step"] += 1
        param.sub_(grad, alpha=number(state))

    optimizer = Ruled(
        [nn.Parameter(torch.ones(2))], rule, lambda state, param: state.update(step=begin)
    )
    compare(cohort_of(optimizer), Work(rule, pure="rule"), optimizer.param_groups[0], 12)

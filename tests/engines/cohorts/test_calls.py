"""Functions of whole tensors: in which order and on what they are called, and what is kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from schuss.engines.cohorts import calls
from schuss.engines.cohorts.calls import Stacks, played
from schuss.engines.program.program import COUNT, GRAD, PARAM, Place
from schuss.engines.program.stages import (
    Argument,
    Call,
    Cut,
    Fed,
    Kept,
    Ref,
    Returned,
    Run,
    Tangle,
)

F64 = torch.float64
INPUTS = (Place(GRAD), Place(PARAM), COUNT)
SHAPE = (2, 2)


def tangle(sources: Any, called: Any, shapes: Any = None, dtypes: Any = None) -> Tangle:
    shapes = shapes or [SHAPE] * len(sources)
    dtypes = dtypes or [F64] * len(sources)
    known = tuple(sources), tuple(called), tuple(dtypes), tuple(shapes)
    return Tangle(INPUTS, (), *known, frozenset({0, 1}), 2)


def matrices(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn((count, *SHAPE), generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_calls_are_made_in_order_with_blocks_numbers_and_options_in_their_places():
    made: list[str] = []

    def noted(name, function):
        def called(*args, **kwargs):
            made.append(name)
            return function(*args, **kwargs)

        return called

    first = Call(noted("eigh", torch.linalg.eigh), (Ref(0),), {})
    second = Call(noted("add", torch.add), (Ref(2), Ref(1)), {"alpha": Argument(1)})
    third = Call(noted("cat", torch.cat), ([Ref(3), Ref(0)],), {"dim": 1})
    sources = [Fed(0, F64), Fed(1, F64), Returned(0, 1), Returned(1, None), Returned(2, None)]
    x, y = matrices(2)
    x = x @ x.mT
    run = Run((0, 1, 2), (0, 1), (4, 3))
    whole, summed = played(tangle(sources, [first, second, third]), run, (x, y), [0.5, 3.0])
    vectors = torch.linalg.eigh(x).eigenvectors
    assert made == ["eigh", "add", "cat"]
    assert torch.equal(summed, torch.add(vectors, y, alpha=3.0))
    assert torch.equal(whole, torch.cat([summed, x], dim=1))


@pytest.mark.parametrize("at", [[0, 1], (0, 1), slice(0, 1), (slice(None), None)], ids=str)
def test_an_index_is_a_list_or_a_tuple_as_the_rule_has_written_it(at):
    (x,) = matrices(1)
    run = Run((0,), (0,), (1,))
    found = tangle(
        [Fed(0, F64), Returned(0, None)], [Call(torch.Tensor.__getitem__, (Ref(0), at), {})]
    )
    (made,) = played(found, run, (x,), [])
    assert torch.equal(made, x[at])


class Cohort:
    """Parameters with their states, as `Stacks` asks for them."""

    def __init__(self, count: int, **state: Any) -> None:
        self.params: list[Any] = list(matrices(count, 1).clone().unbind())
        for param, grad in zip(self.params, matrices(count, 2), strict=True):
            param.grad = grad.clone()
        self.states = [{key: make(index) for key, make in state.items()} for index in range(count)]
        self.whole = tuple(state)
        self.like = torch.empty(0, dtype=F64)

    def tensors(self, place: Place) -> list[Any]:
        assert place.name == PARAM
        return self.params


def part(numbers: Any = (0.5, 0.25), which: Any = None) -> Any:
    return SimpleNamespace(numbers=lambda: numbers, which=which)


def stacks_of(cohort: Any, found: Tangle, indices: Any, kept: Any = None, **about: Any) -> Stacks:
    cut = Cut(found, (), kept or {})
    at = slice(0, len(indices))
    return Stacks(cohort, about.get("part", part()), cut, indices, about.get("grads"), at)


GRAM = [Fed(0, F64), Returned(0, None)]


@pytest.mark.parametrize("count", [1, calls.FEWEST - 1, calls.FEWEST + 2])
def test_each_parameter_gets_the_product_of_its_own_gradient(count):
    cohort = Cohort(count + 1)
    found = tangle(GRAM, [Call(torch.matmul, (Ref(0), Ref(0)), {})])
    indices = list(range(1, count + 1))
    stacks = stacks_of(cohort, found, indices)
    stacks.call([Run((0,), (0,), (1,))])
    expected = [cohort.params[index].grad @ cohort.params[index].grad for index in indices]
    torch.testing.assert_close(stacks.read(1), torch.stack(expected), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("count", "takes_stacks", "times"),
    [(1, False, 1), (3, False, 3), (5, False, 1), (5, True, 1), (1, True, 1)],
)
def test_a_function_is_called_for_few_one_by_one_and_else_for_all_at_once(
    count, takes_stacks, times
):
    seen: list[Any] = []

    def doubled(x):
        seen.append(tuple(x.shape))
        return x * 2

    cohort = Cohort(count)
    stacks = stacks_of(cohort, tangle(GRAM, [Call(doubled, (Ref(0),), {})]), list(range(count)))
    stacks.call([Run((0,), (0,), (1,), doubled if takes_stacks else None)])
    assert len(seen) == times
    assert seen[0] == ((count, *SHAPE) if takes_stacks else SHAPE)
    for param, found in zip(cohort.params, stacks.read(1), strict=True):
        assert torch.equal(found, 2 * param.grad)


def test_numbers_that_differ_are_those_of_each_parameter():
    cohort = Cohort(5)
    found = tangle(GRAM, [Call(torch.mul, (Ref(0), Argument(0)), {})])
    own = part(np.array([[2.0, 0.0], [3.0, 0.0]]), np.array([0, 1, 1, 0, 1]))
    stacks = stacks_of(cohort, found, list(range(5)), part=own)
    stacks.call([Run((0,), (0,), (1,), torch.mul)])
    for param, factor, made in zip(cohort.params, [2, 3, 3, 2, 3], stacks.read(1), strict=True):
        assert torch.equal(made, factor * param.grad)


def test_what_is_made_of_no_parameter_is_repeated_for_each():
    cohort = Cohort(3)
    found = tangle([Returned(0, None)], [Call(torch.eye, (2,), {"dtype": F64})])
    stacks = stacks_of(cohort, found, [0, 1, 2])
    stacks.call([Run((0,), (), (0,))])
    assert [x.tolist() for x in stacks.read(0)] == [torch.eye(2).tolist()] * 3
    assert len({x.data_ptr() for x in stacks.read(0)}) == 3


def test_gradients_that_are_given_count_for_more_than_those_that_parameters_have():
    cohort = Cohort(2)
    given = {index: torch.full(SHAPE, float(index), dtype=F64) for index in range(2)}
    stacks = stacks_of(cohort, tangle([Fed(0, F64)], []), [1, 0], grads=given)
    assert [x[0, 0].item() for x in stacks.read(0)] == [1.0, 0.0]


def test_what_a_program_writes_is_one_stack_which_is_let_go_of():
    cohort = Cohort(3)
    stacks = stacks_of(cohort, tangle([Fed(3, F64)], []), [0, 1, 2])
    made = stacks.new(0)
    assert made[1].data_ptr() - made[0].data_ptr() == 8 * 4
    for number, tensor in enumerate(made):
        tensor.fill_(number)
    assert [x[1, 1].item() for x in stacks.read(0)] == [0.0, 1.0, 2.0]
    stacks.drop([0])
    assert not stacks._stacks


def test_what_nothing_needs_after_a_run_is_let_go_of():
    found = tangle([*GRAM, Returned(1, None)], [Call(torch.abs, (Ref(0),), {})] * 2)
    stacks = stacks_of(Cohort(2), found, [0, 1])
    stacks.call([Run((0,), (0,), (1,)), Run((1,), (0,), (2,), done=(0,))])
    assert sorted(stacks._stacks) == [1, 2]


@pytest.mark.parametrize("count", [1, 2])
def test_a_stack_that_a_program_reads_apart_is_not_the_memory_of_the_parameter(count):
    cohort = Cohort(count)
    stacks = stacks_of(cohort, tangle([Fed(1, F64)], []), list(range(count)))
    read = stacks.read(0, apart=True)
    for param in cohort.params:
        param.zero_()
    assert all(x.abs().sum() > 0 for x in read)


@pytest.mark.parametrize("count", [1, 2])
def test_state_is_exchanged_though_each_is_written_over_the_other(count):
    cohort = Cohort(
        count, x=lambda n: torch.full(SHAPE, 1.0 + n, dtype=F64), y=lambda n: torch.zeros(SHAPE)
    )
    found = tangle([Kept("x"), Kept("y")], [])
    stacks = stacks_of(cohort, found, list(range(count)), {"x": 1, "y": 0})
    stacks.copy_kept()
    assert stacks.kept() == {}
    for number, state in enumerate(cohort.states):
        assert state["x"].tolist() == torch.zeros(SHAPE).tolist()
        assert state["y"].tolist() == torch.full(SHAPE, 1.0 + number).tolist()


@pytest.mark.parametrize("count", [1, 2])
def test_only_what_lies_in_the_state_is_copied_before_that_is_written_to(count):
    cohort = Cohort(count, x=lambda n: torch.zeros(SHAPE, dtype=F64))
    found = tangle([Kept("x"), Fed(3, F64)], [])
    stacks = stacks_of(cohort, found, list(range(count)), {"x": 0, "y": 1})
    before = stacks.new(1), stacks.read(0)
    stacks.copy_kept()
    assert stacks.read(1) is before[0]
    assert (stacks.read(0) is before[1]) == (count > 1)


def test_new_state_has_memory_of_its_own_for_each_parameter():
    cohort = Cohort(2)
    stacks = stacks_of(cohort, tangle([Fed(0, F64)], []), [0, 1], {"seen": 0})
    (made,) = stacks.kept().values()
    assert all(map(torch.equal, made, [param.grad for param in cohort.params]))
    assert {x.untyped_storage().nbytes() for x in made} == {8 * 4}
    assert all(x.data_ptr() != p.grad.data_ptr() for x, p in zip(made, cohort.params, strict=True))


@pytest.mark.parametrize("count", [1, 3, 5])
@pytest.mark.parametrize("made", [lambda x: x[:1], lambda x: x.float()], ids=["shape", "dtype"])
def test_a_tensor_that_is_not_as_it_was_when_it_was_traced_is_refused(count, made):
    cohort = Cohort(count)
    made.__name__ = "surprising"
    stacks = stacks_of(cohort, tangle(GRAM, [Call(made, (Ref(0),), {})]), list(range(count)))
    with pytest.raises(RuntimeError, match=r"surprising returned a tensor of shape"):
        stacks.call([Run((0,), (0,), (1,))])


def test_the_reason_of_a_function_that_fails_is_told_and_not_that_of_the_stack():
    cohort = Cohort(calls.FEWEST)
    cohort.params[2].grad = torch.zeros(SHAPE, dtype=F64)
    stacks = stacks_of(cohort, tangle(GRAM, [Call(torch.linalg.inv, (Ref(0),), {})]), [0, 1, 2, 3])
    with pytest.raises(
        torch.linalg.LinAlgError, match=r"linalg.inv: The diagonal element 1 is zero"
    ):
        stacks.call([Run((0,), (0,), (1,))])

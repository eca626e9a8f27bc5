"""Cutting operations into stages: what each is fed, takes, calls and lets go of."""

from __future__ import annotations

import torch

from schuss.engines.program.cut import cut
from schuss.engines.program.listing import listing
from schuss.engines.program.program import COUNT, GRAD, PARAM, Place, program
from schuss.engines.program.stages import Argument, Call, Fed, Kept, Ref, Returned, Tangle

INPUTS = (Place(GRAD), Place(PARAM), COUNT)
F64 = torch.float64


def tangle(nodes=(), sources=(), calls=(), direct=(), arguments=0):
    shapes = ((2, 2),) * len(sources)
    given = tuple(nodes), tuple(sources), tuple(calls), (F64,) * len(sources), shapes
    return Tangle(INPUTS, *given, frozenset(direct), arguments)


def called(function, *args, **kwargs):
    return Call(function, args, kwargs)


def cut_of(found, value, kept=None):
    def write(*about):
        return program(*about), None

    return cut(found, ((PARAM, value),), kept or {}, write)


def product(first, second):
    return called(torch.matmul, Ref(first), Ref(second))


def test_there_is_nothing_to_cut_without_functions():
    made, axes, stages = cut_of(tangle([("add", 0, 1)]), 3)
    assert stages is None
    assert axes is None
    assert made == program(INPUTS, (("add", 0, 1),), ((PARAM, 3),))


def test_a_call_whose_result_nobody_needs_is_left_out():
    found = tangle([("add", 0, 1)], [Fed(0, F64), Returned(0, None)], [product(0, 0)], [0])
    assert cut_of(found, 3)[2] is None


def test_a_gradient_is_taken_as_it_lies_and_a_computed_value_is_fed():
    # v3 = grad * param, b0 = grad, b1 = v3, b2 = b0 @ b1, v4 = the elements of b2
    sources = [Fed(0, F64), Fed(3, F64), Returned(0, None)]
    nodes = [("mul", 0, 1), ("taken.2",), ("sub", 1, 4)]
    made, _, stages = cut_of(tangle(nodes, sources, [product(0, 1)], direct=[0]), 5)
    first, last = stages.stages
    assert list(first.fed.values()) == [1]
    assert first.program.nodes == (("mul", 0, 1),)
    assert [run.given for run in first.runs] == [(0, 1)]
    assert [run.returned for run in first.runs] == [(2,)]
    assert ([run.done for run in first.runs], first.done) == ([[0, 1]], ())
    assert (list(last.taken.values()), list(last.done)) == ([2], [2])
    assert last.program is made
    assert last.runs == []


def test_a_stage_has_no_program_if_all_that_it_takes_lies_in_memory():
    sources = [Fed(0, F64), Returned(0, None)]
    _, _, stages = cut_of(tangle([("taken.1",)], sources, [product(0, 0)], direct=[0]), 3)
    assert [stage.program is None for stage in stages.stages] == [True, False]


def test_each_stage_computes_anew_what_it_needs():
    # v3 = grad + param, b0 = v3, b1 = b0 @ b0, v4 = b1, v5 = v4 * v3
    # b2 = v5, b3 = b2 @ b2, v6 = b3
    sources = [Fed(3, F64), Returned(0, None), Fed(5, F64), Returned(1, None)]
    nodes = [("add", 0, 1), ("taken.1",), ("mul", 4, 3), ("taken.3",), ("sub", 6, 4)]
    calls = [product(0, 0), product(2, 2)]
    _, _, stages = cut_of(tangle(nodes, sources, calls), 7)
    names = [[node[0] for node in stage.program.nodes] for stage in stages.stages]
    assert names == [["add"], ["add", "mul"], ["sub"]]
    assert [[run.done for run in stage.runs] for stage in stages.stages] == [[[0]], [[2]], []]
    assert [stage.done for stage in stages.stages] == [(), (), [1, 3]]


def test_calls_that_follow_each_other_are_one_run_unless_one_takes_stacks():
    def stacked(x):
        return x

    stacked.takes_stacks = True  # type: ignore[attr-defined]
    sources = [Fed(0, F64), *(Returned(number, None) for number in range(4))]
    sums = [called(torch.cumsum, Ref(0), 0), called(torch.cumsum, Ref(1), 1)]
    calls = [*sums, called(stacked, Ref(2)), called(torch.cumsum, Ref(3), 0)]
    _, _, stages = cut_of(tangle([("taken.4",)], sources, calls, direct=[0]), 3)
    runs = [(run.calls, run.given, run.returned) for run in stages.stages[0].runs]
    assert runs == [((0, 1), (0,), (2,)), ((2,), (2,), (3,)), ((3,), (3,), (4,))]
    assert [run.for_stacks is not None for run in stages.stages[0].runs] == [False, True, False]


def test_of_several_results_only_those_that_are_needed_are_returned():
    sources = [Kept("left"), Returned(0, 0), Returned(0, 1)]
    calls = [called(torch.linalg.eigh, Ref(0))]
    _, _, stages = cut_of(tangle([("taken.2",)], sources, calls), 3)
    assert stages.stages[0].runs[0].returned == (2,)


def test_a_block_that_becomes_state_is_held_until_the_end():
    sources = [Kept("left"), Returned(0, None)]
    found = tangle([("add", 0, 1)], sources, [product(0, 0)])
    _, _, stages = cut_of(found, 3, {"left": 1})
    first, last = stages.stages
    assert [run.done for run in first.runs] == [[0]]
    assert (first.done, last.done) == ((), ())
    assert stages.kept == {"left": 1}


def test_a_block_is_let_go_of_after_the_last_run_that_takes_it():
    # b1 = b0 @ b0, b2 = b1 @ b0, b3 = b1 @ b2
    sources = [Fed(0, F64), *(Returned(number, None) for number in range(3))]
    calls = [product(0, 0), product(1, 0), product(1, 2)]
    _, _, stages = cut_of(tangle([("taken.3",)], sources, calls, direct=[0]), 3)
    assert [run.done for run in stages.stages[0].runs] == [(), [0], [1, 2]]


def test_two_states_that_are_exchanged_need_no_call():
    _, _, stages = cut_of(tangle([], [Kept("x"), Kept("y")]), 0, {"x": 1, "y": 0})
    assert [stage.runs for stage in stages.stages] == [[], []]


def test_a_chain_may_be_as_long_as_a_rule_likes():
    sources = [Fed(0, F64), *(Returned(number, None) for number in range(3000))]
    calls = [product(number, number) for number in range(3000)]
    nodes = [("taken.3000",), *(("neg", value) for value in range(3, 3003))]
    _, _, stages = cut_of(tangle(nodes, sources, calls, direct=[0]), 3003)
    assert [len(run.calls) for run in stages.stages[0].runs] == [1] * 3000
    assert len(stages.stages) == 2


def test_the_listing_names_blocks_states_numbers_and_tensors():
    sources = [Kept("left"), Fed(0, F64), Returned(0, None), Returned(1, 0), Returned(1, 1)]
    calls = [
        called(torch.add, Ref(0), torch.zeros(2, 2), alpha=Argument(0)),
        called(torch.linalg.eigh, Ref(2)),
        called(torch.cat, (Ref(3), Ref(1)), dim=-1),
    ]
    found = tangle([("taken.5",), ("sub", 1, 3)], [*sources, Returned(2, None)], calls, [0], 1)
    _, _, stages = cut_of(found, 4, {"basis": 4})
    assert listing(stages).splitlines() == [
        "stage 1",
        "  b2 = add(state.left, a tensor of shape (2, 2), alpha=a0)",
        "  b3, b4 = linalg_eigh(b2)",
        "  b5 = cat((b3, grad), dim=-1)",
        "stage 2",
        "  v1 = param",
        "  v3 = b5",
        "  v4 = sub(v1, v3)",
        "  param <- v4",
        "state.basis <- b4",
    ]

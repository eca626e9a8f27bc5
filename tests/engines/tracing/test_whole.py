"""Functions of whole tensors as they are written down: blocks, numbers, options and refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from schuss.engines.errors import PerTensorState, UntraceableError, WholeRead
from schuss.engines.program.axes import all_axes
from schuss.engines.program.program import COUNT, GRAD, PARAM, Place
from schuss.engines.program.stages import Argument, Fed, Kept, Ref, Returned
from schuss.engines.tracing import tracer as _tracer  # noqa: F401  # which completes the tape
from schuss.engines.tracing.block import Block
from schuss.engines.tracing.blocks import blocks_of
from schuss.engines.tracing.calculation import Calculation, Number
from schuss.engines.tracing.standin import StandIn
from schuss.engines.tracing.tape import Dimensions, Tape, Whole

F64 = torch.float64
ROWS, COLS = 4, 3


def traced(rows: int = ROWS, cols: int = COLS) -> tuple[Tape, Any]:
    """Return a tape for matrices of one shape, and the gradient."""
    whole = Whole({"left": torch.empty(rows, rows, dtype=F64, device="meta")}, frozenset({0, 1}))
    dimensions = Dimensions(all_axes(2), (rows, cols), whole=whole)
    tape = Tape((Place(GRAD), Place(PARAM), COUNT), torch.empty(0, dtype=F64), dimensions)
    return tape, StandIn(tape, 0)


def left(tape: Any) -> Any:
    kept = tape.dimensions.whole.kept["left"]
    return Block(tape, blocks_of(tape).number(Kept("left"), kept))


def calls(tape: Tape) -> list[Any]:
    return [(c.function.__name__.strip("_"), c.args, dict(c.kwargs)) for c in blocks_of(tape).calls]


RESULTS = {
    "product": lambda x: x @ x.mT,
    "transposed product": lambda x: torch.einsum("ij,ik->jk", x, x),
    "part": lambda x: x[1:, :2],
    "rows": lambda x: x[[0, 2]],
    "elements": lambda x: x[[0, 1], [2, 0]],
    "one row": lambda x: x[0],
    "sorted": lambda x: x.sort(0).values,
    "norm": lambda x: torch.linalg.matrix_norm(x, 2),
    "nuclear norm": lambda x: torch.linalg.norm(x, ord="nuc"),
    "side by side": lambda x: torch.cat([x, x], 1),
    "lower precision": lambda x: (x @ x.mT).bfloat16(),
    "indices": lambda x: (x @ x.mT).sum(1).topk(2).indices,
    "flat": lambda x: (x @ x.mT).reshape(-1)[:5],
    "more dimensions": lambda x: torch.stack([x, x])[:, None],
}


@pytest.mark.parametrize("name", RESULTS)
def test_the_result_has_the_shape_and_the_precision_that_torch_gives_it(name):
    real = RESULTS[name](torch.ones(ROWS, COLS, dtype=F64))
    _, grad = traced()
    found = RESULTS[name](grad)
    assert type(found) is Block
    assert (tuple(found.shape), found.dtype) == (tuple(real.shape), real.dtype)


def test_functions_are_written_down_in_order_and_a_stand_in_is_fed():
    tape, grad = traced()
    product = grad @ grad.mT
    torch.linalg.eigh(product + left(tape))
    names = [name for name, *_ in calls(tape)]
    assert names == ["permute", "reshape", "matmul", "add", "linalg_eigh"]
    assert blocks_of(tape).sources[0] == Fed(0, F64)
    *_, values, vectors = blocks_of(tape).sources
    assert (values, vectors) == (Returned(4, 0), Returned(4, 1))
    assert calls(tape)[3][1] == (Ref(product.number), Ref(left(tape).number))


def test_a_tensor_is_fed_once_however_often_it_is_met():
    tape, grad = traced()
    for _ in range(3):
        torch.trace(grad @ grad.mT)
    assert [source for source in blocks_of(tape).sources if type(source) is Fed] == [Fed(0, F64)]


def test_fractions_are_arguments_and_whole_numbers_are_options():
    tape, grad = traced()
    noted = Calculation()
    rank, rate = Number(noted, 2, "rank"), Number(noted, 0.25, "rate")
    product = grad @ grad.mT
    (product * rate).matrix_power(rank)[:, :rank]
    *_, scaled, power, part = calls(tape)
    assert scaled[1][1] == Argument(0)
    assert tape.arguments == [rate]
    assert power[1][1] == 2
    assert part[1][1] == (slice(None), slice(None, 2))
    assert "if not (rank == 2): return None" in noted.lines


def test_a_tensor_of_one_number_may_come_first():
    tape, grad = traced()
    made = torch.tensor(2.0, dtype=F64) * (grad @ grad.mT)
    assert tuple(made.shape) == (ROWS, ROWS)
    *_, (_, args, _) = calls(tape)
    assert args[0] == Argument(0)
    function = blocks_of(tape).calls[-1].function
    assert function(0.5, torch.full((2,), 4.0)).tolist() == [2.0, 2.0]


def test_a_tensor_of_the_rule_is_copied_because_the_rule_may_write_to_it():
    tape, grad = traced()
    own = torch.ones(COLS, COLS, dtype=F64)
    grad @ own
    own.zero_()
    *_, (_, args, _) = calls(tape)
    assert args[1].tolist() == torch.ones(COLS, COLS).tolist()
    assert blocks_of(tape).has_constants


def test_a_result_with_the_numbers_of_the_parameter_goes_on_as_elements():
    tape, grad = traced()
    product = grad @ torch.ones(COLS, COLS, dtype=F64)
    made = product * 2.0
    assert type(made) is StandIn
    assert tape.nodes[-2:] == [(f"taken.{product.number}",), ("mul", 3, ~0)]
    assert type(product[:, :2] * 2.0) is Block


@pytest.mark.parametrize("rows", [1, 3])
def test_a_matrix_of_few_rows_is_told_from_its_gram_matrix_by_its_shape(rows):
    _, grad = traced(rows, 3)
    assert type((grad @ grad.mT) * 2.0) is (StandIn if rows == 3 else Block)


def test_what_a_block_is_written_to_it_is():
    tape, grad = traced()
    held, product = left(tape), grad @ grad.mT
    held.mul_(0.5).add_(product)
    *_, halved, added = calls(tape)
    assert (halved[0], added[0]) == ("mul", "add")
    assert held.number == len(blocks_of(tape).sources) - 1
    assert held.version == 2


def test_out_takes_the_result_in_place_of_a_new_tensor():
    tape, grad = traced()
    held = left(tape)
    made: Any = torch.matmul(grad, grad.mT, out=held)
    assert made is held
    assert blocks_of(tape).sources[held.number] == Returned(2, None)


def test_out_is_a_tensor_that_the_rule_was_given():
    _, grad = traced()
    with pytest.raises(UntraceableError, match="linalg_cholesky with this out"):
        torch.linalg.cholesky(grad @ grad.mT, out=torch.ones(4, 4))


VIEWS = {
    "diagonal": lambda x: x.diagonal(),
    "row": lambda x: x[0],
    "transposed": lambda x: x.mT,
    "flat": lambda x: x.flatten(),
    "part of a part": lambda x: x[1:].narrow(0, 0, 1),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_read_until_its_tensor_is_written_to_and_never_written(name):
    tape, grad = traced()
    product = grad @ grad.mT
    view = VIEWS[name](product)
    view.sum()
    with pytest.raises(UntraceableError, match="into a part or another view"):
        view.add_(1.0)
    product.mul_(2.0)
    with pytest.raises(UntraceableError, match="a view of a tensor that was written to since"):
        view.sum()
    assert len(calls(tape)) > 0


REFUSED: dict[str, tuple[Any, str]] = {
    "item": (lambda x: x.trace().item(), "the value of a tensor"),
    "float": (lambda x: float(x.trace()), "the value of a tensor"),
    "branch": (lambda x: 1 if x.trace() > 0 else 2, "the value of a tensor"),
    "rows in turn": (list, "the value of a tensor"),
    "assignment": (lambda x: x.__setitem__(0, 1.0), "the value of a tensor"),
    "address": (lambda x: x.data_ptr(), "how a tensor lies in memory"),
    "strides": (lambda x: x.stride(), "how a tensor lies in memory"),
    "dropout": (lambda x: torch.dropout(x, 0.5, train=True), "torch.dropout of a whole tensor"),
    "drawn": (torch.rand_like, "torch.rand_like of a whole tensor"),
    "shape by value": (lambda x: x[x > 0], "with these arguments"),
    "wrong sizes": (lambda x: x @ torch.ones(7, 7, dtype=F64), "torch.matmul with these"),
    "unknown": (lambda x: x.no_such_method(), "Tensor.no_such_method"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_repeated_is_refused(name):
    function, message = REFUSED[name]
    _, grad = traced()
    with pytest.raises(UntraceableError, match=message):
        function(grad @ grad.mT)


def test_nothing_is_guessed_of_shapes_that_are_not_known():
    tape = Tape((Place(GRAD), Place(PARAM), COUNT), torch.empty(0), Dimensions(all_axes(2)))
    grad = StandIn(tape, 0)
    for function in (torch.linalg.qr, lambda x: x[0], lambda x: torch.cat([x, x])):
        with pytest.raises(WholeRead):
            function(grad)


def test_a_number_of_the_state_that_takes_a_block_is_asked_for_as_one():
    tape, grad = traced()
    number = torch.zeros(())
    tape.numbers[id(number)] = "mean"
    with pytest.raises(PerTensorState) as found:
        number.lerp_((grad @ grad.mT).trace(), 0.5)
    assert found.value.key == "mean"
    with pytest.raises(UntraceableError, match="lerp_"):
        torch.zeros(()).lerp_((grad @ grad.mT).trace(), 0.5)

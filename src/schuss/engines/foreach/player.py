"""Playing a program: its instructions, carried out on lists of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from schuss.engines.cohorts.matrix_view import MatrixView, reduced
from schuss.engines.foreach.instructions import Instruction, Instructions
from schuss.engines.foreach.lists import Generators, Operand, drawn, one_by_one
from schuss.engines.program.operations import DRAWS, REDUCED, SIZES, SPREADS


def play(
    instructions: Instructions,
    numbers: Sequence[Operand | Tensor],
    inputs: Mapping[int, list[Tensor]],
    like: list[Tensor],
    generators: Generators,
    views: Sequence[MatrixView] = (),
) -> list[list[Tensor]]:
    """Play a program.

    Args:
        instructions: The instructions of the program.
        numbers: Its arguments, factors and numbers as tensors.
        inputs: The lists of tensors that are read, by the number of the value.
        like: The parameters as the rule sees them.
        generators: The sources of the random numbers of a step, for all its parameters.
        views: How each parameter is seen, if it is seen as anything but itself.

    Returns:
        The value of each output, none of it in memory that another one goes to.
    """
    values: list[Any] = [None] * instructions.values
    for number, tensors in inputs.items():
        values[number] = tensors
    values += reversed(numbers)  # so that the operand `~k` is the number `k`
    for call in instructions.calls:
        operands = [values[operand] for operand in call.operands]
        if call.function is None:
            values[call.number] = _alone(call, operands, like, generators, views)
        elif call.over is None:
            values[call.number] = list(call.function(*operands))
        else:
            call.function(*operands)
            values[call.number] = operands[call.over]
        del operands
        for number in call.last:
            values[number] = None
    return [_end(values[output.number], cloned=output.cloned) for output in instructions.outputs]


def _end(tensors: list[Tensor], *, cloned: bool) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors] if cloned else tensors


def _alone(
    call: Instruction,
    operands: list[Any],
    like: list[Tensor],
    generators: Generators,
    views: Sequence[MatrixView],
) -> list[Tensor]:
    """Return the value of an operation for which there is no function on lists."""
    operation, real = call.operation, like[0].dtype
    if operation in DRAWS:
        return drawn(call.number, operation, operands[0], like, generators)
    if operation in REDUCED:
        return [reduced(operation, x.to(real)) for x in operands[0]]
    if operation in SIZES or operation in SPREADS:
        return _repeated(operation, like, views, *operands)
    return one_by_one(operation, operands, real)


def _repeated(
    operation: str, like: list[Tensor], views: Sequence[MatrixView], x: Operand = 0.0
) -> list[Tensor]:
    """Return a size of each parameter, or numbers that are repeated along dimensions."""
    numbers: list[Any] = x if isinstance(x, list) else [x] * len(views)
    entries = zip(views, like, numbers, strict=True)
    return [view.made(operation, tensor, number) for view, tensor, number in entries]

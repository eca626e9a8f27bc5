"""Torch's operations on lists of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from schuss.engines.program.operations import OPERATIONS, takes_predicate

Operand: TypeAlias = "list[Tensor] | list[float] | float"
"""The tensors of all parameters, their numbers, or a number that they have in common."""

_NAMES = {"add_scaled": "add", "cube_root": "pow", "square": "mul"}
"""The names that torch has for operations on lists, where they are others."""

_OF_TENSORS = frozenset({"addcdiv", "addcmul", "lerp"})
"""Operations whose last operand is a number in torch, and the others are tensors."""


def has_function(operation: str, numbers: Sequence[bool]) -> bool:
    """Tell whether torch has an operation on lists.

    Args:
        operation: The operation.
        numbers: For each operand whether it is a number, or else tensors.
    """
    name = _NAMES.get(operation, operation)
    first, *rest = numbers
    if first or not hasattr(torch, f"_foreach_{name}_"):
        return False
    if operation in _OF_TENSORS or operation == "add_scaled":
        *tensors, number = rest
        return (number or operation == "lerp") and not any(tensors)
    return True


@cache
def function_of(operation: str, over: int | None) -> Callable[..., Any]:
    """Return the function on lists for an operation, one of those that have one.

    A function of new lists returns them. One whose result goes over an operand need not.

    Args:
        operation: The operation.
        over: The operand that takes the result, by its position; None for new tensors.
    """
    name = _NAMES.get(operation, operation)
    function: Callable[..., Any] = getattr(torch, f"_foreach_{name}{'' if over is None else '_'}")
    if over == 1:  # of a sum or a product
        return lambda x, y: function(y, x)
    if operation in _SPECIAL:
        return partial(_SPECIAL[operation], function)
    if operation == "lerp" and not _takes_numbers("lerp"):
        return partial(_lerp, function, over is not None)
    return function


def takes_tensor(operation: str) -> bool:
    """Tell whether the function for an operation takes a number as a tensor, too."""
    return operation in ("add", "div", "mul")


def single(number: float, dtype: torch.dtype) -> Tensor:
    """Return a number as a tensor, on the CPU whatever the default device: others take it too."""
    return torch.scalar_tensor(number, dtype=dtype, device="cpu")


def _add(function: Callable[..., Any], x: Any, y: Any) -> Any:
    # Without the keyword, torch would take the value of the tensor first.
    return function(x, y, alpha=1) if isinstance(y, Tensor) else function(x, y)


def _add_scaled(function: Callable[..., Any], x: Any, y: Any, scale: Any) -> Any:
    if isinstance(scale, list):
        return function(x, torch._foreach_mul(y, scale))
    return function(x, y, alpha=scale)


def _lerp(function: Callable[..., Any], in_place: bool, x: Any, y: Any, weight: Any) -> Any:  # noqa: FBT001  # of a partial
    if not isinstance(weight, list):
        return function(x, y, weight)
    made = one_by_one("lerp", [x, y, weight], x[0].dtype)
    return torch._foreach_copy_(x, made) if in_place else made


_SPECIAL: dict[str, Callable[..., Any]] = {
    "add": _add,
    "add_scaled": _add_scaled,
    "cube_root": lambda function, x: function(x, 1 / 3),
    "square": lambda function, x: function(x, x),
}
"""Operations that are not the call of a function with their operands."""


def _takes_numbers(operation: str) -> bool:
    """Tell whether a function takes a number for each tensor, as that of `lerp` does of late."""
    return "ScalarList" in getattr(torch.ops.aten, f"_foreach_{operation}").overloads()


def one_by_one(operation: str, operands: Sequence[Operand], real: torch.dtype) -> list[Tensor]:
    """Call an operation on each tensor alone."""
    count = next(len(x) for x in operands if isinstance(x, list))
    columns = []
    for position, x in enumerate(operands):
        column: list[Any] = x if isinstance(x, list) else [single(x, real)] * count
        if not isinstance(column[0], Tensor):
            column = [single(number, real) for number in column]
        if not takes_predicate(operation, position):
            column = [tensor.to(real) for tensor in column]
        columns.append(column)
    function = OPERATIONS[operation].function
    return [function(*each) for each in zip(*columns, strict=True)]


Generators: TypeAlias = "dict[tuple[int, int], torch.Generator]"
"""The sources of the random numbers of a step, by the operation that draws, and a seed."""


def drawn(
    number: int, operation: str, seeds: Operand, like: list[Tensor], generators: Generators
) -> list[Tensor]:
    """Return random numbers for every element, the same for the same seed.

    Args:
        number: The number of the operation in its program.
        operation: The operation.
        seeds: The seed of each parameter, or of all.
        like: The parameters.
        generators: The generators of earlier parameters, from which later ones draw on.
    """
    function = torch.rand if operation == "uniform" else torch.randn
    made = []
    for index, x in enumerate(like):
        seed = int(seeds[index] if isinstance(seeds, list) else seeds)
        if (number, seed) not in generators:
            generators[number, seed] = torch.Generator(x.device).manual_seed(seed)
        of = generators[number, seed]
        made.append(function(x.shape, generator=of, dtype=x.dtype, device=x.device))
    return made

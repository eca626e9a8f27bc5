"""Parameters as matrices, by the group's option `matrices`.

The option says which matrices a parameter consists of:

| `matrices` | the matrices of a parameter |
|---|---|
| `None` | the parameter itself, which must have two dimensions |
| `"flatten"` | one: the first dimension is its rows, all others its columns (convolutions) |
| `"batch"` | one for each index of the dimensions before the last two (experts) |
| `Heads(12)`, `Heads(12, dim=1)` | 12 of equal size, which stand below or beside one another |
| `Split(768, 768, 768)`, with `dim` | blocks of so many rows or columns (queries, keys, values) |
| `Dims(rows=(1,), cols=(0,))` | by dimensions; those that are not named are a batch |

`Heads`, `Split` and `Dims` return plain tuples, so that a checkpoint with them in its groups loads
everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor

from schuss.contract import Group
from schuss.domains import Domain
from schuss.storage.ranks import is_distributed

Matrices: TypeAlias = Literal["flatten", "batch"] | tuple[Any, ...] | None
"""A value of the option `matrices`."""

HEADS, SPLIT, DIMS = "heads", "split", "dims"


def Heads(count: int, *, dim: int = 0) -> tuple[str, int, int]:  # noqa: N802  # reads as a kind
    """Return the option for `count` matrices of equal size along a dimension.

    The weight of a linear layer has one row for each output. The heads of queries, keys and values
    are therefore along dimension 0, and those of the projection after them along dimension 1.
    """
    return HEADS, count, dim


def Split(*sizes: int, dim: int = 0) -> tuple[str, tuple[int, ...], int]:  # noqa: N802
    """Return the option for blocks of these sizes along a dimension."""
    return SPLIT, sizes, dim


def Dims(  # noqa: N802
    *, rows: Sequence[int], cols: Sequence[int]
) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """Return the option for the dimensions that are rows and columns; all others are a batch."""
    return DIMS, tuple(rows), tuple(cols)


def as_matrices(x: Tensor, matrices: Matrices = None) -> list[Tensor]:
    """Return the matrices of a tensor, as stacks of shape (batch, rows, cols).

    There are several stacks where `Split` divides into blocks of different sizes, and one
    otherwise. `check_matrices` tells whether the shape fits.

    Example:
        >>> import torch
        >>> from schuss.matrices import Heads, Split, as_matrices
        >>> x = torch.zeros(6, 4)
        >>> [stack.shape for stack in as_matrices(x, Heads(3))]
        [torch.Size([3, 2, 4])]
        >>> [stack.shape for stack in as_matrices(x, Split(4, 1, 1))]
        [torch.Size([1, 4, 4]), torch.Size([1, 1, 4]), torch.Size([1, 1, 4])]
    """
    if matrices is None:
        return [x.unsqueeze(0)]
    if matrices == "flatten":
        return [x.reshape(1, x.shape[0], math.prod(x.shape[1:]))]
    if matrices == "batch":
        return [x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])]
    kind, first, second = matrices
    if kind == DIMS:
        return [_by_dims(x, first, second)]
    count = first if kind == HEADS else len(first)
    if kind == SPLIT and len(set(first)) > 1:
        return [block.unsqueeze(0) for block in x.split(list(first), second)]
    parts = x.unflatten(second, (count, x.shape[second] // count))
    return [parts.movedim(second, 0)]


def from_matrices(stacks: Sequence[Tensor], shape: Sequence[int], matrices: Matrices) -> Tensor:
    """Return the tensor of this shape that consists of these matrices; see `as_matrices`."""
    [whole, *others] = stacks
    if matrices is None or matrices == "flatten" or matrices == "batch":
        return whole.reshape(tuple(shape))
    kind, first, second = matrices
    if kind == DIMS:
        order = _order(len(shape), first, second)
        there = whole.reshape([shape[dim] for dim in order])
        return there.permute([order.index(dim) for dim in range(len(shape))])
    if others:
        return torch.cat([stack.squeeze(0) for stack in stacks], second)
    return whole.movedim(0, second).flatten(second, second + 1)


def keyed(key: str, index: int) -> str:
    """Return the key of the state of a stack: the first one has the key as it is."""
    return key if index == 0 else f"{key}.{index}"


def matrix_shapes(shape: Sequence[int], matrices: Matrices) -> list[tuple[int, int, int]]:
    """Return the shapes (batch, rows, cols) of the stacks of a parameter of this shape."""
    like = torch.empty(tuple(shape), dtype=torch.float32, device="meta")
    return [(*stack.shape,) for stack in as_matrices(like, matrices)]


def _by_dims(x: Tensor, rows: tuple[int, ...], cols: tuple[int, ...]) -> Tensor:
    order = _order(x.dim(), rows, cols)
    batch = order[: -len(rows) - len(cols)]
    sizes = [math.prod(x.shape[dim] for dim in dims) for dims in (batch, rows, cols)]
    return x.permute(order).reshape(sizes)


def _order(count: int, rows: tuple[int, ...], cols: tuple[int, ...]) -> list[int]:
    """Return the dimensions in the order: batch, rows, columns."""
    return [*(dim for dim in range(count) if dim not in (*rows, *cols)), *rows, *cols]


def check_all(group: Group) -> None:
    """Check that the parameters of a group consist of matrices, by its option `matrices`.

    Raises:
        ValueError: `check_matrices` refuses one, which the message names.
        TypeError: `check_matrices` refuses one, which the message names.
    """
    matrices, names = group.get("matrices"), group.get("param_names", ())
    for index, param in enumerate(group["params"]):
        _check_named(names[index] if index < len(names) else index, param, matrices)


def _check_named(name: object, param: Tensor, matrices: Matrices) -> None:
    try:
        check_matrices(param, matrices)
    except (ValueError, TypeError) as error:
        raise type(error)(f"only matrices are taken, but for parameter {name!r}: {error}") from None


def check_matrices(param: Tensor, matrices: Matrices) -> None:
    """Check that a parameter consists of such matrices.

    Raises:
        ValueError: Its shape does not fit; the message tells the remedy.
        TypeError: It is complex, or divided among several ranks.
    """
    if param.is_complex():
        raise TypeError(
            f"it is {param.dtype}, and only real matrices are supported; keep "
            "torch.view_as_real(parameter) as one"
        )
    if is_distributed(param):
        raise TypeError(
            f"it is a {type(param).__name__}, of which a rank may have a part, and a part of a "
            "matrix is another matrix; keep it whole on each rank"
        )
    matrices = MATRICES.plain(matrices)
    shown, count = tuple(param.shape), param.dim()
    if count < 2:
        raise ValueError(
            f"it has shape {shown}, which is no matrix; give biases, gains and other vectors to an "
            "optimizer such as AdamW"
        )
    if matrices is None and count > 2:
        raise ValueError(
            f"it has shape {shown}, with more dimensions than a matrix; add matrices='flatten' to "
            "its group for a convolution, 'batch' for a stack of matrices, or see "
            "schuss.matrices.Dims"
        )
    if isinstance(matrices, tuple) and matrices[0] == DIMS:
        _check_dims(count, matrices)
    elif isinstance(matrices, tuple):
        _check_blocks(shown, matrices)


def _check_dims(count: int, matrices: tuple[Any, ...]) -> None:
    outside = [dim for dims in matrices[1:] for dim in dims if dim >= count]
    if outside:
        raise ValueError(f"it has {count} dimensions, and matrices={matrices} names {outside[0]}")


def _check_blocks(shape: tuple[int, ...], matrices: tuple[Any, ...]) -> None:
    kind, parts, dim = matrices
    if len(shape) != 2:
        raise ValueError(
            f"it has shape {shape}, and matrices={matrices} divides parameters of two dimensions"
        )
    size, noun = shape[dim], ("rows", "columns")[dim]
    if kind == HEADS and size % parts:
        raise ValueError(
            f"it has shape {shape}, and {size} {noun} cannot be divided among {parts} heads"
        )
    if kind == SPLIT and sum(parts) != size:
        raise ValueError(
            f"it has shape {shape}, and blocks of {' + '.join(map(str, parts))} = {sum(parts)} "
            f"{noun} are not its {size}"
        )


class _MatricesDomain(Domain):
    """The values of the option `matrices`."""

    def __init__(self) -> None:
        super().__init__(
            "be None, 'flatten', 'batch', or what Heads, Split or Dims of schuss.matrices return"
        )

    def check(self, key: str, value: Any) -> None:
        """Refuse another value, or one with numbers that make no sense."""
        if value is None or value in ("flatten", "batch"):
            return
        if isinstance(value, str):
            self.refuse(ValueError, key, value)
        if not isinstance(value, (tuple, list)):
            self.refuse(TypeError, key, value)
        if not (len(value) == 3 and _is_sound(*value)):
            self.refuse(ValueError, key, value)

    def plain(self, value: Any) -> Any:
        """Return tuples, also of the lists that a file of text turns them into."""
        if isinstance(value, list) or (
            isinstance(value, tuple) and any(isinstance(part, list) for part in value)
        ):
            return tuple(tuple(part) if isinstance(part, list) else part for part in value)
        return value


def _is_sound(kind: object, first: Any, second: Any) -> bool:
    """Tell whether a kind of matrices goes with its numbers."""
    if kind == HEADS:
        return type(first) is int and first > 0 and second in (0, 1)
    if kind == SPLIT:
        return _are_whole(first, 1) and second in (0, 1)
    if kind != DIMS or not (_are_whole(first, 0) and _are_whole(second, 0)):
        return False
    return len({*first, *second}) == len(first) + len(second)


def _are_whole(numbers: object, low: int) -> bool:
    if not isinstance(numbers, (tuple, list)) or not numbers:
        return False
    return all(type(number) is int and number >= low for number in numbers)


MATRICES: Final = _MatricesDomain()

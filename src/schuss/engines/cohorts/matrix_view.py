"""Real tensors, seen as the programs of rows and columns see them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from torch import Tensor

from schuss.engines.program.as_matrices import MatrixAxes
from schuss.engines.program.axes import Axes, Layout
from schuss.engines.program.operations import REDUCED, REDUCTIONS, SIZES, SPREADS, Form

_BITS = (0b100, 0b010, 0b001)


class MatrixView:
    """A parameter seen as a batch of matrices, and what belongs to it likewise.

    Every tensor but a single number has three dimensions then, of size 1 where it has no numbers of
    its own, so that torch's operations repeat it there.

    Args:
        matrix_axes: The axes of matrices, rows and columns.
        layout: The axes that the dimensions of the parameter are made of.
        axes: The axes of state with others than the parameter, by key.
    """

    def __init__(self, matrix_axes: MatrixAxes, layout: Layout, axes: Mapping[str, Axes]) -> None:
        self.sizes = matrix_axes.sizes(layout.sizes)
        self._layout = layout
        self._axes = axes

    def shape(self, form: Form) -> tuple[int, ...]:
        """Return the shape in which tensors of one form are seen."""
        if form is Form.TENSOR:
            return ()
        return tuple(n if form & bit else 1 for n, bit in zip(self.sizes, _BITS, strict=True))

    def seen(self, tensor: Tensor, form: Form) -> Tensor:
        """Return a tensor of the state, the parameter or the gradient as it is seen."""
        return tensor.reshape(self.shape(form))

    def as_state(self, tensor: Tensor, key: str) -> Tensor:
        """Return a tensor in the shape that it has in the state under a key."""
        is_number = not tensor.dim() and key not in self._axes
        return tensor if is_number else tensor.reshape(self.shape_at(key))

    def shape_at(self, key: str) -> tuple[int, ...]:
        """Return the shape under a key of the state: the parameter's, if it has no other axes."""
        return self._layout.shape(self._axes.get(key, self._layout.axes))

    def made(self, operation: str, like: Tensor, x: Tensor | float = 0.0) -> Tensor:
        """Return a size, or a number or a smaller tensor that is repeated."""
        if operation in SIZES:
            sizes = (n for n, bit in zip(self.sizes, _BITS, strict=True) if SIZES[operation] & bit)
            return like.new_tensor(float(prod(sizes)))
        return like.new_zeros(self.shape(SPREADS[operation])) + x


def reduced(operation: str, tensor: Tensor) -> Tensor:
    """Return what a reduction makes of a tensor as it is seen."""
    name, form = REDUCED[operation]
    function = REDUCTIONS[name].function
    if form is Form.TENSOR:
        return function(tensor)  # type: ignore[no-any-return]
    dims = [dim for dim, bit in enumerate(_BITS) if not form & bit and tensor.dim()]
    return function(tensor, dim=dims, keepdim=True)  # type: ignore[no-any-return]

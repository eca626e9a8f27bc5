"""From the dimensions of a parameter to matrices, rows and columns.

A rule is traced with the axes of a parameter. Its program needs to know less: axes that are
kept or reduced together are one. So a tensor becomes a batch of matrices, each with rows and
columns, and one kernel serves every number of dimensions and every shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from math import prod
from typing import NamedTuple

from schuss.engines.errors import UnfusableError
from schuss.engines.program.axes import Axes, own_axes
from schuss.engines.program.operations import DRAWS, REDUCTIONS, SIZES, Form
from schuss.engines.program.program import COUNT, Node, Place, Program, alive_in, program

_SIZE_NAMES = {bits: name for name, bits in SIZES.items()}

OwnAxes = tuple[int, ...]
"""The axes along which a value has numbers of its own."""


class MatrixAxes(NamedTuple):
    """The axes that make up the batch, the rows, and the columns."""

    matrices: OwnAxes
    rows: OwnAxes
    columns: OwnAxes

    def sizes(self, sizes: Sequence[int]) -> tuple[int, int, int]:
        """Return how many matrices a tensor has, how many rows each, and how many columns.

        Args:
            sizes: The size of each axis.
        """
        sizes = sizes or (1,)
        matrices, rows, columns = (prod(sizes[axis] for axis in axes) for axes in self)
        return matrices, rows, columns

    def form(self, axes: OwnAxes) -> int:
        """Return the bits of the form of a value with numbers along some axes."""
        if not axes:
            return Form.TENSOR
        bits = zip((0b100, 0b010, 0b001), self, strict=True)
        return sum(bit for bit, group in bits if set(group) <= set(axes))

    def size(self, axes: OwnAxes) -> int:
        """Return the bits of the product of the sizes of some axes."""
        bits = zip((0b100, 0b010, 0b001), self, strict=True)
        return sum(bit for bit, group in bits if group and set(group) <= set(axes))


@lru_cache(maxsize=1024)
def as_matrices(
    inputs: tuple[tuple[Place, Axes | None], ...],
    nodes: tuple[Node, ...],
    outputs: tuple[tuple[str, int], ...],
    everything: OwnAxes,
) -> tuple[Program, MatrixAxes]:
    """Return the program of a trace with axes, and what its matrices, rows and columns are.

    Args:
        inputs: Where the first values are read, with the axes of those that have some of their own.
        nodes: The operations as they were traced.
        outputs: Names of places, and the values that go there.
        everything: The axes of the parameters.

    Raises:
        UnfusableError: The statistics are of more than a batch of matrices.
    """
    known = [_own_at(place, axes, everything) for place, axes in inputs]
    for node in nodes:
        known.append(_own_of(node, known, everything))
    alive = alive_in(len(inputs), nodes, {number for _, number in outputs})
    alive |= set(range(len(inputs)))
    used = {known[number] for number in alive}
    sizes = {op[1] for op, *_ in nodes if isinstance(op, tuple) and op[0] == "size"}
    matrix_axes = _matrix_axes(used | sizes, everything)
    if matrix_axes is None or any(matrix_axes.form(axes) not in set(Form) for axes in used):
        raise UnfusableError(
            "there are statistics along too many dimensions at once; a program is for matrices, "
            "with rows and columns"
        )
    places = tuple(
        place._replace(form=Form(matrix_axes.form(known[number])))
        for number, (place, _) in enumerate(inputs)
    )
    writer = _Writer(places, matrix_axes, known, everything)
    for number, node in enumerate(nodes, start=len(inputs)):
        if number in alive:
            writer.add(number, node)
    return writer.program(outputs), matrix_axes


def _matrix_axes(used: Iterable[OwnAxes], everything: OwnAxes) -> MatrixAxes | None:
    """Return axes that are in the same sets and side by side, as one; None if too many remain."""
    sets = sorted(used)
    runs = groupby(everything, key=lambda axis: [axis in each for each in sets])
    groups = [tuple(run) for _, run in runs]
    return MatrixAxes(*((), (), (), *groups)[-3:]) if len(groups) <= 3 else None


def _own_at(place: Place, axes: Axes | None, everything: OwnAxes) -> OwnAxes:
    if axes is not None:
        return own_axes(axes)
    return () if place.per_tensor else everything


def _own_of(node: Node, known: Sequence[OwnAxes], everything: OwnAxes) -> OwnAxes:
    """Return along which axes the value that a node makes has numbers."""
    operation, *operands = node
    if isinstance(operation, tuple):
        name, axes = operation
        return () if name == "size" else axes
    if operation in REDUCTIONS:
        return ()
    if operation in DRAWS:
        return everything
    return tuple(sorted({axis for o in operands if o >= 0 for axis in known[o]}))


class _Writer:
    """Writes the nodes of a trace as those of a program."""

    def __init__(
        self,
        places: Sequence[Place],
        matrix_axes: MatrixAxes,
        known: Sequence[OwnAxes],
        everything: OwnAxes,
    ) -> None:
        self.nodes: list[Node] = []
        self.numbers = {number: number for number in range(len(places))}
        self._places = places
        self._matrix_axes = matrix_axes
        self._known = known
        self._everything = everything

    def add(self, number: int, node: Node) -> None:
        """Write the node that makes the value with this number."""
        operation, *operands = node
        operands = [self.numbers[o] if o >= 0 else o for o in operands]
        if not isinstance(operation, tuple):
            self.numbers[number] = self._written(operation, *operands)
            return
        name, axes = operation
        if name == "size":
            whole = axes == self._everything
            self.numbers[number] = (
                self._places.index(COUNT)
                if whole
                else self._written(_SIZE_NAMES[self._matrix_axes.size(axes)])
            )
            return
        form = Form(self._matrix_axes.form(axes))
        source = node[1]
        of_elements = source >= 0 and self._known[source] == self._everything
        if form is Form.MATRIX and of_elements and name != "spread":
            # Of the rows first: then a pass through the elements leaves no number for a matrix.
            operands = [self._written(f"row_{name}", *operands)]
        self.numbers[number] = self._written(f"{form.name.lower()}_{name}", *operands)

    def program(self, outputs: Iterable[tuple[str, int]]) -> Program:
        """Return the program of what was written."""
        ends = tuple((name, self.numbers[number]) for name, number in outputs)
        return program(tuple(self._places), tuple(self.nodes), ends)

    def _written(self, operation: str, *operands: int) -> int:
        self.nodes.append((operation, *operands))
        return len(self._places) + len(self.nodes) - 1

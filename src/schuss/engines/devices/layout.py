"""The memory that the kernel of a program takes, in the same order on every device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schuss.engines.program.operations import DRAWS, REDUCED, SIZES, Form
from schuss.engines.program.program import Place, Program
from schuss.engines.program.schedule import SMALLER, Function, is_saved_when_reduced
from schuss.storage.codecs import Codec
from schuss.storage.codecs.kinds import codec_of_kind
from schuss.storage.kinds import Kinds

_NAMES = {Form.ELEMENT: "pass", Form.ROW: "rows", Form.COLUMN: "columns", Form.MATRIX: "matrices"}


class Slot(NamedTuple):
    """Memory of a kernel's own, from pass to pass: an address for each tensor, as a place has.

    Attributes:
        value: Whose.
        form: The things that it holds one number for each of.
        partials: One for each tile, to be joined; else the value itself.
    """

    value: int
    form: Form
    partials: bool


DECODED = "float32"
"""The kind of numbers that are decoded."""


def scales_of(place: Place) -> Place:
    """Return the place of the scales of another one, whose numbers are encoded."""
    return Place(f"scales of {place.name}")


class Layout:
    """The memory that a kernel takes.

    Attributes:
        program: Its program.
        real: The kind of numbers that it computes with.
        columns: The places whose addresses it takes, in this order; then come `slots`.
        slots: Its own memory.
        totals: For each reduction that leaves one number for a tensor, its position.
        arguments: How many of the numbers of a trace it takes.
    """

    def __init__(self, program: Program, functions: Sequence[Function], kinds: Kinds) -> None:
        self.program = program
        self.real = kinds.real
        made = [value for function in functions for value in function.reductions]
        whole = [value for value in made if program.values[value].form is Form.TENSOR]
        self.totals = {value: index for index, value in enumerate(whole)}
        reduced = [v for f in functions if f.form is Form.ELEMENT for v in f.reductions]
        saved = [v for f in functions for v in f.saved]
        saved += [v for v in made if is_saved_when_reduced(program, v)]
        forms = {value: program.values[value].form for value in (*reduced, *saved)}
        self.slots = [Slot(v, forms[v], partials=True) for v in reduced if forms[v] in SMALLER]
        self.slots += [Slot(v, forms[v], partials=False) for v in saved]
        written = [place for place, _ in program.outputs if place not in program.inputs]
        self._kinds = dict(kinds.at)
        encoded = [place for place in program.inputs if self.codec(place) is not None]
        self.columns = [*program.inputs, *written, *map(scales_of, encoded)]
        operands = (o for _, *operands in program.nodes for o in operands)
        self.arguments = max((-o for o in operands if o < 0), default=0)
        for place in written:
            self._kinds.setdefault(place.name, kinds.real if place.per_tensor else kinds.made)

    def kind(self, place: Place) -> str:
        """Return how the numbers at a place are stored, or decoded if they are encoded."""
        return DECODED if self.codec(place) else self._kinds[place.name]

    @property
    def has_codecs(self) -> bool:
        """Whether the numbers at some place are encoded."""
        return any(self.codec(place) for place in self.program.inputs)

    @property
    def block(self) -> int:
        """The most numbers that share a scale; 1 if none do."""
        codecs = map(self.codec, self.program.inputs)
        return max((codec.block for codec in codecs if codec), default=1)

    def codec(self, place: Place) -> Codec | None:
        """Return the codec that keeps the numbers at a place, or None."""
        return codec_of_kind(self._kinds.get(place.name, ""))

    def column(self, place: Place) -> int:
        """Return the position of the addresses of a place."""
        return self.columns.index(place)

    def arguments_of(self, values: Iterable[int]) -> tuple[list[int], list[int]]:
        """Return which arguments some values are computed with, and which of them divide.

        Of those that divide, the reciprocals are needed; those of draws are read where they are.
        """
        used: set[int] = set()
        divisors: set[int] = set()
        for value in values:
            operation, *operands = self.program.node(value) or ("",)
            if operation in DRAWS:
                continue
            if operation == "div" and operands[1] < 0:
                divisors.add(~operands.pop())
            used.update(~operand for operand in operands if operand < 0)
        return sorted(used), sorted(divisors)

    def operation(self, value: int) -> str:
        """Return the name of the operation that makes a value, or nothing for an input."""
        node = self.program.node(value)
        return node[0] if node else ""

    def reduction_name(self, value: int) -> str:
        """Return the name of a reduction, whatever it leaves numbers for."""
        return REDUCED[self.operation(value)][0]


class Pass(NamedTuple):
    """A function of a kernel, whose work threads share.

    Attributes:
        name: Its name.
        does: A sentence on its work.
        form: The form that it goes through: elements entry by entry of the table, others tensor by
            tensor.
        of_matrices: It makes statistics of matrices from those of their rows or columns.
        reductions: Those that it makes partial ones of: name, and position of the total.
    """

    name: str
    does: str
    form: Form
    of_matrices: bool
    reductions: tuple[tuple[str, int], ...]


def pass_of(layout: Layout, function: Function, *, shared: bool = False) -> Pass:
    """Return what a kernel has for a function of a schedule.

    Args:
        layout: The memory that the kernel takes.
        function: The function.
        shared: The smaller forms of one tensor are shared out too, so that they leave partial
            reductions.
    """
    form, name = function.form, _NAMES[function.form]
    in_parts = function.reductions if shared or form is Form.ELEMENT else ()
    totals = [(layout.reduction_name(v), layout.totals[v]) for v in in_parts if v in layout.totals]
    does = "Step the parameters." if function.outputs else "Make partial reductions."
    if form is not Form.ELEMENT:
        does = f"Go through {name}."
    values = layout.program.values
    of_matrices = any(values[v].form is Form.MATRIX for v in function.reductions)
    return Pass(f"{name}_{function.number}", does, form, of_matrices, tuple(totals))


class KernelSource(NamedTuple):
    """The text of a kernel, and how to launch it.

    Attributes:
        text: A module.
        passes: The functions that go through the tensors, in order.
        closing: Name of the function that comes last, and goes through the tensors, or None.
        totals: How many reductions leave one number for a tensor.
        columns: Places, in the order of the addresses.
        slots: Memory of its own, whose addresses follow.
        tiled: It sees tensors as matrices.
        arguments: How many of the numbers of a trace it takes.
        maps: The codecs whose maps it looks up in memory; their addresses come last.
        block: The most numbers that share a scale, which no two entries of a table may divide.
    """

    text: str
    passes: tuple[Pass, ...]
    closing: str | None
    totals: int
    columns: tuple[Place, ...]
    slots: tuple[Slot, ...]
    tiled: bool
    arguments: int
    block: int
    maps: tuple[str, ...] = ()


def source_of(
    layout: Layout, text: str, passes: Sequence[Pass], closing: str | None
) -> KernelSource:
    """Return a printed kernel."""
    tiled = sees_matrices(layout.program)
    memory = len(layout.totals), tuple(layout.columns), tuple(layout.slots)
    facts = tiled, layout.arguments, layout.block
    return KernelSource(text, tuple(passes), closing, *memory, *facts)


def sees_matrices(program: Program) -> bool:
    """Tell whether a program sees tensors as matrices, with rows and columns."""
    return any(value.form in SMALLER for value in program.values) or any(
        operation in SIZES for operation, *_ in program.nodes
    )

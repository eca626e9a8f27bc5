"""The blocks of a trace, and the calls that make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from schuss.engines.errors import WholeRead
from schuss.engines.program.axes import Axes
from schuss.engines.program.stages import Call, Ref, Returned, Source, Tangle
from schuss.engines.tracing.tape import Tape
from schuss.storage.precision import HALF

if TYPE_CHECKING:
    from schuss.engines.tracing.block import Block

CONVERTING = frozenset({"to", "bfloat16", "double", "float", "half", "type", "type_as"})
"""Functions that return the same numbers in another precision."""


class Blocks:
    """The blocks of a trace, and the calls that make them.

    Attributes:
        sources: The origin of each block.
        calls: The calls.
        likes: For each block a tensor without memory that is like it.
        of_elements: The block of all elements of a value, by its number and its axes.
        has_constants: Whether a call is given a tensor that does not come from a stand-in.
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.calls: list[Call] = []
        self.likes: list[Tensor] = []
        self.of_elements: dict[tuple[int, Axes | None], Block] = {}
        self.has_constants = False
        self._known: dict[Source, int] = {}

    def tangle(self, tape: Tape, direct: frozenset[int]) -> Tangle:
        """Return the operations of the trace, to be cut."""
        dtypes = tuple(like.dtype for like in self.likes)
        shapes = tuple(tuple(like.shape) for like in self.likes)
        rest = tuple(self.sources), tuple(self.calls), dtypes, shapes, direct, len(tape.arguments)
        return Tangle(tuple(tape.inputs), tuple(tape.nodes), *rest)

    def number(self, source: Source, like: Tensor) -> int:
        """Return the number of a block."""
        if source not in self._known:
            self._known[source] = len(self.sources)
            self.sources.append(source)
            self.likes.append(like)
        return self._known[source]

    def before_widening(self, number: int, seen: Tensor) -> int:
        """Return the block in half precision that a block was converted from, or the block itself.

        Args:
            number: The block.
            seen: A tensor in the precision in which a program sees numbers: it widens them, too.
        """
        source = self.sources[number]
        if not isinstance(source, Returned) or self.likes[number].dtype is not seen.dtype:
            return number
        call = self.calls[source.call]
        given = call.args[0] if call.args else None
        if call.function.__name__ not in CONVERTING or not isinstance(given, Ref):
            return number
        like = self.likes[given.block]
        is_same = like.dtype in HALF and like.shape == self.likes[number].shape
        return given.block if is_same else number


def blocks_of(tape: Tape) -> Blocks:
    """Return the blocks of a trace."""
    if tape.blocks is None:
        tape.blocks = Blocks()
    return tape.blocks


def sizes_of(tape: Tape) -> Sequence[int]:
    """Return the sizes of the parameters, which have one shape."""
    if tape.dimensions.whole is None or tape.dimensions.sizes is None:
        raise WholeRead
    return tape.dimensions.sizes

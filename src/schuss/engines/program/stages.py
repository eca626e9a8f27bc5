"""The stages of a rule that works on whole tensors.

A program computes one element from the same element of other tensors. A product of matrices, a
decomposition, a selection of rows does not fit into it. Such a function of torch is called between
two programs: the first writes the elements that it takes, the second reads what it returns. So a
rule with such functions is a chain of *stages*. Each but the last has a program, which writes to
temporary tensors only, and then calls. The last has a program alone, and that writes to the
parameter and the state. It computes anew what the stages before it have computed, as a pass does.

A *block* is a tensor as such functions see it. Blocks have numbers of their own, from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch

from schuss.engines.program.as_matrices import MatrixAxes
from schuss.engines.program.program import Node, Place, Program
from schuss.storage.precision import HALF

TAKEN = "taken"
"""The operation that takes the elements of a block."""

TEMPORARY = "temporary."
"""The name of a place for the elements of a block, before its number in a stage."""


class Fed(NamedTuple):
    """A block whose elements a program computes.

    Attributes:
        value: The number of the value.
        dtype: The precision in which it is stored.
    """

    value: int
    dtype: torch.dtype


class Kept(NamedTuple):
    """A block that is state of another shape than its parameter's, by its key."""

    key: str


class Returned(NamedTuple):
    """A block that a call returns: which call, and which of several results; None for the only."""

    call: int
    result: int | None


Source: TypeAlias = Fed | Kept | Returned
"""The origin of a block."""


class Ref(NamedTuple):
    """A block among the arguments of a call."""

    block: int


class Argument(NamedTuple):
    """A number among the arguments of a call: the argument of the trace at this position."""

    position: int


class Call(NamedTuple):
    """A call of a function on blocks.

    Attributes:
        function: The function.
        args: Its arguments, in which `Ref` and `Argument` stand for blocks and numbers.
        kwargs: Its keywords.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class Run(NamedTuple):
    """Calls that are made one after the other, with what they are given and what is left of them.

    Attributes:
        calls: The calls, by their number.
        given: The blocks that they are given.
        returned: The blocks that they return, as far as they are needed afterwards.
        for_stacks: The only function, as it is called for a stack of what it takes; None if there
            is no such function, or there are several calls.
        done: The blocks that nothing needs after it.
    """

    calls: tuple[int, ...]
    given: tuple[int, ...]
    returned: tuple[int, ...]
    for_stacks: Callable[..., Any] | None = None
    done: Sequence[int] = ()


class Stage(NamedTuple):
    """A program, and the calls that follow it.

    Attributes:
        program: The program; None if it would write nothing.
        matrix_axes: The axes of matrices, rows and columns of the program.
        taken: The blocks whose elements it reads, by the name of the place.
        fed: The blocks whose elements it writes, by the name of the place.
        runs: The calls.
        done: The blocks that nothing needs after the program.
    """

    program: Program | None
    matrix_axes: MatrixAxes | None
    taken: Mapping[str, int]
    fed: Mapping[str, int]
    runs: Sequence[Run]
    done: Sequence[int] = ()


class Tangle(NamedTuple):
    """The operations of a rule as they were traced, before they are cut.

    Attributes:
        inputs: The places where the first values are read.
        nodes: The operations on elements.
        sources: The origin of each block.
        calls: The calls.
        dtypes: The precision of each block.
        shapes: The shape of each block.
        direct: The inputs that calls may read where they lie.
        arguments: How many numbers the trace has.
    """

    inputs: tuple[Place, ...]
    nodes: tuple[Node, ...]
    sources: tuple[Source, ...]
    calls: tuple[Call, ...]
    dtypes: tuple[torch.dtype, ...]
    shapes: tuple[tuple[int, ...], ...]
    direct: frozenset[int]
    arguments: int

    def is_direct(self, source: Source) -> bool:
        """Tell whether calls read a block where it lies, in the precision in which it is kept."""
        return isinstance(source, Fed) and source.value in self.direct and source.dtype not in HALF


EMPTY = Tangle((), (), (), (), (), (), frozenset(), 0)
"""No operations."""


class Cut(NamedTuple):
    """The stages of a rule that works on whole tensors.

    Attributes:
        tangle: The operations.
        stages: The stages. The last has no calls, and its program is that of the trace.
        kept: The blocks that become state, by its key.
    """

    tangle: Tangle
    stages: tuple[Stage, ...]
    kept: Mapping[str, int]


def refs(tree: object) -> list[int]:
    """Return the blocks among the arguments of a call."""
    if isinstance(tree, Ref):
        return [tree.block]
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [block for each in tree for block in refs(each)]
    return []


def shapes_given(tangle: Tangle, call: int) -> list[tuple[int, ...]]:
    """Return the shapes of the tensors among the arguments of a call."""
    about = tangle.calls[call]

    def found(tree: object) -> list[tuple[int, ...]]:
        if isinstance(tree, Ref):
            return [tangle.shapes[tree.block]]
        if isinstance(tree, torch.Tensor):
            return [tuple(tree.shape)]
        each = list(tree.values()) if isinstance(tree, Mapping) else tree
        return [s for one in each for s in found(one)] if isinstance(each, (list, tuple)) else []

    return [*found(about.args), *found(about.kwargs)]


def taken(operation: object) -> int | None:
    """Return the block whose elements an operation takes, or None if it takes none."""
    if isinstance(operation, str) and operation.startswith(TAKEN):
        return int(operation.removeprefix(f"{TAKEN}."))
    return None

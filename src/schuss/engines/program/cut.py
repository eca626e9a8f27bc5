"""Cutting the operations of a rule into stages, see `stages`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias, cast

from schuss.engines.program.as_matrices import MatrixAxes
from schuss.engines.program.on_stacks import on_stacks
from schuss.engines.program.program import Node, Place, Program, alive_in
from schuss.engines.program.stages import (
    TEMPORARY,
    Cut,
    Fed,
    Returned,
    Run,
    Stage,
    Tangle,
    refs,
    shapes_given,
    taken,
)

Write: TypeAlias = Callable[
    [tuple[Place, ...], tuple[Node, ...], tuple[tuple[str, int], ...]],
    tuple[Program, MatrixAxes | None],
]
"""Makes a program of places, operations and what goes where at the end."""


def cut(
    tangle: Tangle, ends: tuple[tuple[str, int], ...], kept: Mapping[str, int], write: Write
) -> tuple[Program, MatrixAxes | None, Cut | None]:
    """Cut the operations of a rule into stages.

    Args:
        tangle: The operations.
        ends: Names of places, and the values that go there at the end.
        kept: The blocks that become state, by its key.
        write: Makes a program.

    Returns:
        The program of the last stage, the axes of its matrices, and the stages; None if there is
        nothing to cut.
    """
    stages = _Stages(tangle, kept.values(), write)
    needed = stages.needed([value for _, value in ends], list(kept.values()))
    if not needed:
        return *write(tangle.inputs, tangle.nodes, ends), None
    last = max(
        [stages.of_value(value) for _, value in ends]
        + [stages.of_block(block) + 1 for block in kept.values()]
    )
    made = [stages.stage(number, needed) for number in range(last)]
    program, axes, read, fed = stages.program(ends, {})
    made.append(Stage(program, axes, read, fed, ()))
    return program, axes, Cut(tangle, _with_ends(made, kept.values()), kept)


def _with_ends(stages: Sequence[Stage], kept: Iterable[int]) -> tuple[Stage, ...]:
    """Note for each stage, and for each of its runs, which blocks nothing needs after it."""
    last: dict[int, tuple[int, int]] = {}
    for number, stage in enumerate(stages):
        last |= dict.fromkeys(stage.taken.values(), (number, -1))
        for position, run in enumerate(stage.runs):
            last |= dict.fromkeys(run.given, (number, position))
    last |= dict.fromkeys(kept, (len(stages), -1))
    done: dict[tuple[int, int], list[int]] = {}
    for block, place in last.items():
        done.setdefault(place, []).append(block)
    return tuple(
        stage._replace(
            runs=[
                run._replace(done=done.get((number, position), ()))
                for position, run in enumerate(stage.runs)
            ],
            done=done.get((number, -1), ()),
        )
        for number, stage in enumerate(stages)
    )


class _Stages:
    """Tells to which stage everything belongs, and makes the stages."""

    def __init__(self, tangle: Tangle, kept: Iterable[int], write: Write) -> None:
        self._tangle = tangle
        self._write = write
        self._given = [[*refs(call.args), *refs(call.kwargs)] for call in tangle.calls]
        blocks = [taken(operation) for operation, *_ in tangle.nodes]
        self._ends = {*kept, *(block for block in blocks if block is not None)}
        self._of_block: list[int] = []
        self._of_value: list[int] = []
        self._order()

    def of_value(self, value: int) -> int:
        """Return the first stage whose program can compute a value."""
        return self._of_value[value]

    def of_block(self, block: int) -> int:
        """Return the stage whose calls can take a block, or return it."""
        return self._of_block[block]

    def _order(self) -> None:
        """Find the stages of all blocks and values, in the order in which these were traced."""
        for source in self._tangle.sources:
            found = 0
            if isinstance(source, Fed):
                self._order_values(source.value + 1)
                found = self.of_value(source.value)
            elif isinstance(source, Returned):
                found = max(map(self.of_block, self._given[source.call]), default=0)
            self._of_block.append(found)
        self._order_values(len(self._tangle.inputs) + len(self._tangle.nodes))

    def _order_values(self, end: int) -> None:
        """Find the stages of all values before one."""
        for value in range(len(self._of_value), end):
            block = self._taken(value)
            operands = [operand for operand in self._operands(value) if operand >= 0]
            before = max(map(self.of_value, operands), default=0)
            self._of_value.append(before if block is None else self.of_block(block) + 1)

    def needed(self, values: list[int], blocks: list[int]) -> set[int]:
        """Return the blocks that some values and blocks are made of."""
        found: set[int] = set()
        seen: set[int] = set()
        while values or blocks:
            while values:
                value = values.pop()
                if value < 0 or value in seen:
                    continue
                seen.add(value)
                values += self._operands(value)
                block = self._taken(value)
                blocks += [] if block is None else [block]
            if blocks:
                block = blocks.pop()
                if block in found:
                    continue
                found.add(block)
                source = self._tangle.sources[block]
                values += [source.value] if isinstance(source, Fed) else []
                blocks += self._given[source.call] if isinstance(source, Returned) else []
        return found

    def stage(self, number: int, needed: set[int]) -> Stage:
        """Return a stage that is not the last."""
        mine = [block for block in sorted(needed) if self.of_block(block) == number]
        sources = [(block, self._tangle.sources[block]) for block in mine]
        fed = {
            block: source.value
            for block, source in sources
            if isinstance(source, Fed) and not self._tangle.is_direct(source)
        }
        calls = sorted({source.call for _, source in sources if isinstance(source, Returned)})
        takers = self._takers(needed)
        made: dict[int, list[int]] = {}
        for block, source in sources:
            if isinstance(source, Returned):
                made.setdefault(source.call, []).append(block)
        runs = [self._run(part, made, takers) for part in self._parted(calls)]
        if not fed:
            return Stage(None, None, {}, {}, runs)
        return Stage(*self.program((), fed), runs)

    def program(
        self, ends: tuple[tuple[str, int], ...], fed: Mapping[int, int]
    ) -> tuple[Program, MatrixAxes | None, dict[str, int], dict[str, int]]:
        """Return a program that writes to some places, or some blocks, and the rest of its stage.

        Args:
            ends: Names of places, and the values that go there.
            fed: Blocks, and the values of their elements.
        """
        inputs, nodes = self._tangle.inputs, self._tangle.nodes
        alive = alive_in(len(inputs), nodes, [*fed.values(), *(value for _, value in ends)])
        taken = [value for value in sorted(alive) if self._taken(value) is not None]
        names = [f"{TEMPORARY}{number}" for number in range(len(taken) + len(fed))]
        places = (*inputs, *map(Place, names[: len(taken)]))
        numbers = {value: value for value in range(len(inputs))}
        numbers |= {value: len(inputs) + position for position, value in enumerate(taken)}
        kept: list[Node] = []
        for value in sorted(alive - numbers.keys()):
            operation, *operands = nodes[value - len(inputs)]
            kept.append((operation, *(numbers[o] if o >= 0 else o for o in operands)))
            numbers[value] = len(places) + len(kept) - 1
        outputs = [*ends, *zip(names[len(taken) :], fed.values(), strict=True)]
        program, axes = self._write(
            places, tuple(kept), tuple((name, numbers[value]) for name, value in outputs)
        )
        blocks = [self._taken(value) or 0 for value in taken]
        read = dict(zip(names, blocks, strict=False))
        return program, axes, read, dict(zip(names[len(taken) :], fed, strict=True))

    def _parted(self, calls: Sequence[int]) -> list[tuple[int, ...]]:
        """Divide calls into those that take stacks, each alone, and all others between them."""
        return [
            each
            for takes_stacks, some in groupby(
                calls, lambda call: self._for_stacks(call) is not None
            )
            for each in ([(call,) for call in some] if takes_stacks else [tuple(some)])
        ]

    def _for_stacks(self, call: int) -> Callable[..., Any] | None:
        shapes = shapes_given(self._tangle, call)
        return on_stacks(self._tangle.calls[call].function, shapes)

    def _takers(self, needed: set[int]) -> dict[int, set[int]]:
        """Return the calls that take each block, of those that something needs."""
        found: dict[int, set[int]] = {}
        for call in {self._call_of(block) for block in needed} - {None}:
            for block in self._given[cast("int", call)]:
                found.setdefault(block, set()).add(cast("int", call))
        return found

    def _run(
        self,
        calls: tuple[int, ...],
        made_by: Mapping[int, Sequence[int]],
        takers: Mapping[int, set[int]],
    ) -> Run:
        """Return calls as a run.

        Args:
            calls: The calls.
            made_by: The blocks that each call returns.
            takers: The calls that take each block.
        """
        among = set(calls)
        made = sorted(block for call in calls for block in made_by[call])
        given = {block for call in calls for block in self._given[call]} - set(made)
        returned = [
            block for block in made if block in self._ends or takers.get(block, among) - among
        ]
        return Run(calls, tuple(sorted(given)), tuple(returned), self._for_stacks(calls[0]))

    def _call_of(self, block: int) -> int | None:
        source = self._tangle.sources[block]
        return source.call if isinstance(source, Returned) else None

    def _operands(self, value: int) -> tuple[int, ...]:
        position = value - len(self._tangle.inputs)
        return self._tangle.nodes[position][1:] if position >= 0 else ()

    def _taken(self, value: int) -> int | None:
        """Return the block whose elements a value is, if it is that."""
        position = value - len(self._tangle.inputs)
        return taken(self._tangle.nodes[position][0]) if position >= 0 else None

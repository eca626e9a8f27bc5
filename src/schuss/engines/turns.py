"""The turns of the groups in one step: one after another, and all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from schuss.contract import Group, States
from schuss.engines.foreach.batch import Call
from schuss.engines.groups import options_of
from schuss.engines.known import Known
from schuss.engines.memory import share_memory
from schuss.engines.planning import Planned
from schuss.engines.states import Kept, tensors_of, whole
from schuss.engines.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from schuss.engines.kernels.step import FusedStep


class Turn(NamedTuple):
    """The part of one group in a step.

    Attributes:
        known: The knowledge of the group.
        group: The group.
        kernels: The kernels to run, on the fused engine.
        calls: The functions to call, on the others.
        anew: The plan, if the turn was planned anew.
    """

    known: Known
    group: Group
    kernels: Sequence[FusedStep] = ()
    calls: Sequence[Call] = ()
    anew: Planned | None = None


class Turns:
    """The turns of all groups in one step.

    Kernels cannot raise, and all of them run in one call. The loop, for one, may raise if a state
    or an option is not as it was in the step before; it is then called ahead of all kernels, with
    copies to go back to.

    Args:
        kept: The states.
        turns: The turns, in the order of the groups.
        run: Runs kernels, all of them or none.
    """

    def __init__(
        self, kept: Kept, turns: Sequence[Turn], run: Callable[[list[FusedStep]], object]
    ) -> None:
        self._kept = kept
        self._turns = turns
        self._run = run

    def take(self) -> None:
        """Take the turns; signals wait, because what is no kernel consists of many calls.

        Raises:
            Exception: A rule has raised. If nothing had been changed but new and mended states, the
                caller may still undo that.
        """
        with uninterrupted() if any(turn.calls for turn in self._turns) else nullcontext():
            self._take()

    def _take(self) -> None:
        called: States = {}
        for turn in self._turns:
            if turn.anew is not None:
                self._kept.adopt(turn.anew.states)
                called |= turn.anew.states if turn.calls else {}
        if self._kept.are_as_before(called) and not any(map(self._is_untried, self._turns)):
            self._kept.begin()  # what follows is not undone, and holds on to no state
            self._in_order()
        elif self._read_each_other():
            with self._undone(self._turns):
                self._in_order()
        else:
            with self._undone([turn for turn in self._turns if turn.calls]):
                for turn in self._turns:
                    _call(turn)
            self._kept.begin()
            self._in_order(calls=False)

    def _in_order(self, *, calls: bool = True) -> None:
        """Take the turns one after another, as on the loop."""
        kernels: list[FusedStep] = []
        for turn in self._turns:
            if turn.anew is not None:
                turn.known.bound, turn.known.options = turn.anew.bound, options_of(turn.group)
            if turn.calls and calls:
                self._run(kernels)
                kernels = []
                _call(turn)
            kernels += turn.kernels
        self._run(kernels)
        for turn in self._turns:  # with the state that kernels have made
            if turn.anew is not None:
                self._kept.note(turn.anew.states)
                if _is_free(turn):
                    turn.known.note_tried()

    def _is_untried(self, turn: Turn) -> bool:
        """Tell whether a rule is called as it was not called before, and may raise midway."""
        if turn.anew is None or not _is_free(turn):
            return False
        return turn.known.is_untried or any(map(self._kept.is_new, turn.anew.states))

    def _read_each_other(self) -> bool:
        """Tell whether a gradient of one group shares memory with what another group writes to."""
        own = [tensors_of(self._states(turn)) for turn in self._turns]
        for number, turn in enumerate(self._turns):
            grads = [param.grad for param in turn.group["params"] if param.grad is not None]
            others = [x for n, tensors in enumerate(own) if n != number for x in tensors]
            if share_memory(grads, others):
                return True
        return False

    def _states(self, turn: Turn) -> States:
        states = self._kept.states
        return {param: states[param] for param in turn.group["params"] if param in states}

    @contextmanager
    def _undone(self, turns: Sequence[Turn]) -> Iterator[None]:
        """Undo what is done to some groups within, if it ends in an error."""
        states: States = {}
        for turn in turns:
            turn.known.write_scalars()
            states |= self._states(turn)
        try:
            with whole(states, [param for param in states if self._kept.is_new(param)]):
                yield
        except BaseException:
            for turn in turns:
                turn.known.bound = None
            raise


def _call(turn: Turn) -> None:
    """Take the part of a turn that is not run by kernels."""
    for call in turn.calls:
        call()
    if turn.anew is not None and turn.anew.bound is None:  # nobody will ask the cohorts for them
        for piece in turn.anew.pieces:
            piece.cohort.write_scalars()


def _is_free(turn: Turn) -> bool:
    """Tell whether the rule itself is called, and may raise after it has changed something."""
    return turn.anew is not None and turn.anew.engine in ("loop", "stacked")


def left_to_device(turns: Sequence[Turn], skip: Tensor) -> bool:
    """Let a device decide whether a step is taken, while the host goes on; tell whether it may.

    Args:
        turns: The turns of the step.
        skip: A number on the device that is not 0 if the step is to change nothing.
    """
    from schuss.engines.kernels.staged import StagedStep

    staged = [call for turn in turns for call in turn.calls if isinstance(call, StagedStep)]
    if len(staged) < sum(len(turn.calls) for turn in turns) or any(turn.anew for turn in turns):
        return False
    kernels = [step for turn in turns for step in turn.kernels]
    if not all(step.may_be_left_out() for step in staged):
        return False
    if not all(step.may_be_left_out() for step in kernels):
        return False
    for step in staged:
        step.skip = skip
    return True

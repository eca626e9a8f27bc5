"""The kernels of an optimizer's steps: a step is taken in full or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol

from schuss.engines.verdict import Pending, Verdict

if TYPE_CHECKING:
    from torch import Tensor

    from schuss.engines.devices.device import Run
    from schuss.engines.kernels.commit import Commit
    from schuss.engines.kernels.step import FusedStep


class Prepared(Protocol):
    """Kernels that have been prepared for a step."""

    def take(self, skip: Tensor | None = None) -> None:
        """Run them, unless `skip`, a number on their device, is not 0."""

    def finish(self) -> None:
        """Do what is left to do, if they have run; to do so twice is to do it once."""


class Running:
    """Runs kernels, and ends what was left open.

    Open are the bookkeeping of a step that a signal has cut off, and a step that a device may leave
    out without the host knowing yet.
    """

    def __init__(self) -> None:
        self._unfinished: list[Prepared] = []
        self._pending: Pending | None = None
        self._run: Run | None = None

    def run(self, kernels: Sequence[FusedStep], verdict: Verdict | None = None) -> Run | None:
        """Run kernels, all of them or none, and return what has run them.

        Args:
            kernels: The kernels.
            verdict: The decision of their device, whether they change anything.
        """
        if not kernels:
            return None
        commit = _commit_type()(kernels, self._run)
        self._run = commit.run
        if verdict is not None and not all(s.binding.cohort.is_capturable for s in kernels):
            self._pending = Pending(verdict, [step.binding.cohort for step in kernels])
        self.take(commit, None if verdict is None else verdict.tensor)
        return self._run

    def take(self, commit: Prepared, skip: Tensor | None = None) -> None:
        """Run kernels that have been prepared, and do what is left to do then.

        Args:
            commit: The kernels.
            skip: A number on their device that is not 0 if they are to change nothing, or None.
        """
        self._unfinished = [commit]
        try:
            commit.take(skip)
        finally:
            self._finish()

    def settle(self) -> None:
        """End what was left open; a verdict that has not arrived is waited for."""
        if self._unfinished:
            self._finish()
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.settle()

    def _finish(self) -> None:
        """Finish a step that was cut off after its kernels had run."""
        while self._unfinished:
            self._unfinished[-1].finish()
            self._unfinished.pop()


@cache
def _commit_type() -> type[Commit]:
    """Import it once: to import it in each step takes as long as a small kernel."""
    from schuss.engines.kernels.commit import Commit

    return Commit

"""Verdicts that a device reaches: whether a step is taken is known after it was launched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.engines.capturing import check_may_wait
from schuss.engines.devices.device import keeps_numbers
from schuss.storage.numbers import FLAG

if TYPE_CHECKING:
    from schuss.contract import State
    from schuss.engines.cohorts.cohort import Cohort
    from schuss.engines.cohorts.scalars import Columns


class Verdict:
    """Numbers on a device, one of which is not 0 if a step is to be left out.

    Args:
        refusals: Tensors of one number, and for each what is to be called once it is known not to
            have been 0.
        found_inf: The verdict of a `GradScaler`. If it is not 0, nothing else is noted.

    Attributes:
        flags: For each of them whether it is not 0.
        tensor: A number that is not 0 if one of them is not.
    """

    def __init__(
        self,
        refusals: Sequence[tuple[Tensor, Callable[[], None]]],
        found_inf: Tensor | None = None,
    ) -> None:
        self._is_scaled = found_inf is not None
        if found_inf is not None:
            refusals = [(found_inf, _nothing), *refusals]
        found = [tensor.detach().reshape(()) != 0 for tensor, _ in refusals]
        self.flags = torch.stack([x.to(found[0].device, non_blocking=True) for x in found])
        self.tensor = self.flags.any().to(FLAG)
        self._notes = [note for _, note in refusals]

    @classmethod
    def on_device(
        cls,
        refusals: Sequence[tuple[Tensor, Callable[[], None]]],
        found_inf: Tensor | None,
    ) -> Verdict | None:
        """Return what a device decides on a step while the host goes on, if it has to decide."""
        numbers = [number for number, _ in refusals] + ([] if found_inf is None else [found_inf])
        on_device = any(keeps_numbers(number.device) for number in numbers)
        return cls(refusals, found_inf) if on_device else None

    def is_refusal(self) -> bool:
        """Wait for the device, tell whether the step is to be left out, and have it noted.

        Raises:
            RuntimeError: A graph is being captured, which would not ask again.
        """
        check_may_wait()
        return self.note(self.flags.tolist())

    def note(self, flags: Sequence[bool]) -> bool:
        """Have it noted that a step was left out, and tell whether it was."""
        first = 1 if self._is_scaled and flags[0] else len(flags)
        for flag, note in zip(flags[:first], self._notes, strict=False):
            if flag:
                note()
        return any(flags)


def _nothing() -> None:
    """Note nothing: a `GradScaler` knows its verdict."""


class Pending:
    """A step that a device may leave out, while the host goes on as if it had been taken.

    Args:
        verdict: The verdict.
        cohorts: Whose parameters take the step. The numbers of their states are kept, to be put
            back if the step turns out to have been left out.
    """

    def __init__(self, verdict: Verdict, cohorts: Iterable[Cohort]) -> None:
        self._verdict = verdict
        self._before: dict[Cohort, tuple[State, Columns]] = {
            cohort: (cohort.scalars.same, cohort.scalars.own) for cohort in cohorts
        }
        flags = verdict.flags
        is_later = flags.device.type == "cuda"  # elsewhere nothing tells when a copy has arrived
        self._event: torch.cuda.Event | None = None
        self._copy = torch.empty_like(flags, device="cpu", pin_memory=is_later)
        self._copy.copy_(flags, non_blocking=is_later)
        if is_later:
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(flags.device))

    def settle(self) -> None:
        """Wait for the verdict, which has most often arrived, and do as it says."""
        if self._event is not None:
            self._event.synchronize()
        if self._verdict.note(self._copy.numpy().tolist()):
            for cohort, numbers in self._before.items():
                cohort.put_back(*numbers)


def read_at_once(number: Tensor | None) -> float | Tensor | None:
    """Return a tensor of one number, as a number unless to read it is to wait for a device."""
    return number if number is None or keeps_numbers(number.device) else float(number)

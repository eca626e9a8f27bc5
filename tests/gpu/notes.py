"""Results, written down one by one, so that those of a part that fails are kept."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

OURS = f"{Path('schuss')}/"

LONGEST = 4000
"""Letters of an error that is told in full: those at its end."""


class Notes:
    """A file with one result on each line.

    Args:
        path: The file.

    Attributes:
        part: The part of the trial whose results come next.
    """

    def __init__(self, path: Path) -> None:
        self.part = ""
        self._path = path

    def note(self, case: str, **facts: Any) -> None:
        """Write down a result.

        Args:
            case: What it is of.
            facts: The result; `ok` tells whether it is as it has to be, None if that is not known.
        """
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": self.part, "case": case, **facts}) + "\n")

    @contextmanager
    def failing_softly(self, case: str, *, in_full: bool = False) -> Iterator[None]:
        """Write an error down, and go on; it is no fault to refuse what cannot be done.

        Args:
            case: What is tried within.
            in_full: Whether to write down all that led to the error.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001  # whatever it is: the next case is tried
            refuses = any(f"{asked}=True" in str(error) for asked in ("fused", "capturable"))
            told = traceback.format_exc()[-LONGEST:] if in_full else _told(error)
            self.note(case, ok=None if refuses else False, told=told)
            self._end_if_lost()

    def _end_if_lost(self) -> None:
        """End the process if its device answers no more: all other cases would fail with it."""
        try:
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
        except Exception as error:  # noqa: BLE001  # torch has no name for this one
            self.note("the device", ok=False, told=f"is lost to this process: {_told(error)}")
            sys.exit("the device is lost")


def _told(error: Exception) -> str:
    """Return the kind of an error, its first line, and the line of ours that was being run."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if OURS in frame.filename] or frames[-1:]
    at = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}{at}"

"""The report on a checkpoint that was loaded by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_SHOWN: Final = 12  # names of one kind; a report of a large model remains on one screen


@dataclass(frozen=True)
class LoadReport:
    """Which parameters a checkpoint was loaded for. `print` shows it.

    Attributes:
        matched: The name in the checkpoint of each parameter that was found there, by its name in
            the optimizer.
        new: Parameters that the checkpoint does not have. They keep the state that they had, which
            in a new optimizer is none.
        dropped: Parameters of the checkpoint that the optimizer does not have.

    Example:
        >>> import torch
        >>> from schuss import AdamW
        >>> model = torch.nn.Linear(3, 2)
        >>> saved = AdamW(model.named_parameters()).state_dict()
        >>> larger = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
        >>> optimizer = AdamW(larger.named_parameters(), lr=1e-4)
        >>> options = {"rename": lambda name: f"0.{name}", "strict": False, "keep": ("lr",)}
        >>> print(optimizer.load_by_name(saved, **options))
        2 parameters matched, 2 of them renamed: 0.weight (was weight), 0.bias (was bias)
        2 new: 1.weight, 1.bias
        0 dropped
    """

    matched: Mapping[str, str]
    new: tuple[str, ...]
    dropped: tuple[str, ...]

    def __str__(self) -> str:
        """Return three lines: of matched, of new and of dropped parameters."""
        moved = [f"{new} (was {old})" for new, old in self.matched.items() if new != old]
        count = f"{len(self.matched)} parameters matched"
        lines = [f"{count}, {len(moved)} of them renamed{listed(moved)}" if moved else count]
        lines += [f"{len(self.new)} new{listed(self.new)}"]
        lines += [f"{len(self.dropped)} dropped{listed(self.dropped)}"]
        return "\n".join(lines)


def listed(names: Iterable[str]) -> str:
    """Return a colon and names, not all of them if there are many; nothing without a name."""
    found = list(names)
    more = len(found) - _SHOWN
    told = ", ".join(found[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f": {told}" if found else ""

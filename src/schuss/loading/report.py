"""The report on a checkpoint that was loaded by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from schuss.storage.codecs import Encoded
from schuss.storage.ranks import whole

_SHOWN: Final = 12  # names of one kind; a report of a large model remains on one screen


@dataclass(frozen=True)
class Recoded:
    """A tensor of a state that is kept in fewer bytes, and was saved in another way.

    Attributes:
        parameter: A description of its parameter.
        key: Its key.
        before: The codec or the dtype that it was saved with.
        after: The codec or the dtype that keeps it now.
        error: The norm of the change over the norm of the tensor.
    """

    parameter: str
    key: str
    before: str
    after: str
    error: float


def recoded(parameter: str, key: str, saved: Tensor, before: Tensor, after: Tensor) -> Recoded:
    """Return how a tensor has changed.

    Args:
        parameter: A description of its parameter.
        key: Its key.
        saved: The tensor as it was saved.
        before: Its numbers.
        after: The tensor as it is kept.
    """
    size, change = (float(whole(each.norm())) for each in (before, after - before))
    error = change / size if size else 0.0
    return Recoded(parameter, key, _way(saved), _way(after), error)


def _way(tensor: Tensor) -> str:
    """Return the name of the codec or of the dtype that keeps a tensor."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    return tensor.codec.name if isinstance(tensor, Encoded) else dtype


def told(recoded: Iterable[Recoded]) -> list[str]:
    """Return a line for all tensors with one key that have changed in one way."""
    ways: dict[tuple[str, str, str], list[float]] = {}
    for each in recoded:
        ways.setdefault((each.key, each.before, each.after), []).append(each.error)
    return [
        f"{key} of {len(errors)} encoded: {before} as {after}, {max(errors):.2g} off at most"
        for (key, before, after), errors in ways.items()
    ]


@dataclass(frozen=True)
class LoadReport:
    """Which parameters a checkpoint was loaded for. `print` shows it.

    Attributes:
        matched: The name in the checkpoint of each parameter that was found there, by its name in
            the optimizer.
        new: Parameters that the checkpoint does not have. They keep the state that they had, which
            in a new optimizer is none.
        dropped: Parameters of the checkpoint that the optimizer does not have.
        recoded: Tensors that are kept in fewer bytes, and were saved in another way.

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
    recoded: tuple[Recoded, ...] = ()

    def __str__(self) -> str:
        """Return three lines, of matched, new and dropped parameters, and some of new codes."""
        moved = [f"{new} (was {old})" for new, old in self.matched.items() if new != old]
        count = f"{len(self.matched)} parameters matched"
        lines = [f"{count}, {len(moved)} of them renamed{listed(moved)}" if moved else count]
        lines += [f"{len(self.new)} new{listed(self.new)}"]
        lines += [f"{len(self.dropped)} dropped{listed(self.dropped)}"]
        lines += told(self.recoded)
        return "\n".join(lines)


def listed(names: Iterable[str]) -> str:
    """Return a colon and names, not all of them if there are many; nothing without a name."""
    found = list(names)
    more = len(found) - _SHOWN
    told = ", ".join(found[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f": {told}" if found else ""

"""Checkpoints of a composite, and of several optimizers in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schuss.composite.parts import ALGORITHM
from schuss.contract import Group

if TYPE_CHECKING:
    from schuss.optimizer import Optimizer


def as_own(state_dict: Any, groups: Sequence[Group], parts: Mapping[str, Optimizer]) -> Any:
    """Return a checkpoint in the form of a composite.

    Raises:
        ValueError: A group was saved by another part.
    """
    saved = state_dict.get("param_groups") if isinstance(state_dict, Mapping) else None
    if isinstance(saved, (list, tuple)) and len(saved) == len(groups):
        for number, (theirs, own) in enumerate(zip(saved, groups, strict=True)):
            part = theirs.get(ALGORITHM, own[ALGORITHM]) if isinstance(theirs, Mapping) else None
            if part is not None and part != own[ALGORITHM]:
                raise ValueError(
                    f"the loaded parameter group {number} is of the part {part!r}, and that of the "
                    f"optimizer is of {own[ALGORITHM]!r}: they were routed otherwise; the parts of "
                    f"the optimizer are {', '.join(map(repr, parts))}"
                )
    return state_dict

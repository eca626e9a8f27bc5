"""torchao's Adam and AdamW, whose state of 8, 4 or fp8 bits decodes itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schuss.contract import Group
from schuss.migration.formats import Format


def _number(group: Group) -> Group:
    """Return the learning rate as a number; there it is always a tensor."""
    return {"lr": float(group["lr"])}


FORMATS: Final[Mapping[str, Format]] = {
    f"torchao.{name}": Format(
        algorithm, values={"decoupled_weight_decay": algorithm == "AdamW"}, group_of=_number
    )
    for algorithm in ("Adam", "AdamW")
    for name in (f"{algorithm}8bit", f"{algorithm}4bit", f"{algorithm}Fp8", f"_{algorithm}")
}
"""Formats of torchao."""

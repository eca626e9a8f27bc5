"""flashoptim, where its state is in float32 or in the precision of the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schuss.contract import Group, State
from schuss.migration.formats import Format


def _uncompressed(state: State, group: Group) -> State:
    """Refuse state of 8 bits, and weights whose remainder is in the state."""
    if any("::" in key for key in state) or "error_bits" in state:
        raise ValueError(
            "the state is compressed; save it with compress_state_dict=False, and the weights with "
            "get_fp32_model_state_dict() if the parameters are in half precision"
        )
    return state


FORMATS: Final[Mapping[str, Format]] = {
    f"flashoptim.Flash{name}": Format(
        algorithm,
        renamed=dict.fromkeys(("master_bytewidth", "quantize")),
        values={"decoupled_weight_decay": decoupled},
        state={"step": None} if algorithm in ("Lion", "SGD") else {},
        state_of=_uncompressed,
    )
    for name, algorithm, decoupled in (
        ("Adam", "Adam", False),
        ("AdamW", "AdamW", True),
        ("Lion", "Lion", True),
        ("SGD", "SGD", False),
        ("SGDW", "SGD", True),
    )
}
"""Formats of flashoptim."""

"""flashoptim: its state in 8 bits, in float32, and what its weights have beyond 16 bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.migration.formats import Format
from schuss.storage import master
from schuss.storage.codecs import CODECS, Encoded

_CODES, _SCALES, _ERROR = "::quantized", "::scales", "error_bits"
_OF_SQUARES: Final = "exp_avg_sq"
_MASTERS: Final[Mapping[Any, bool | int]] = {3: 24, 4: True}
"""The master weights of groups, by the bytes of one there."""


def _read(state: State, group: Group) -> State:
    """Return a state with codes and scales as one tensor."""
    found: State = {}
    for key, value in state.items():
        if key.endswith(_CODES):
            name = key.removesuffix(_CODES)
            found[name] = _encoded(name, value, state[name + _SCALES])
        elif not key.endswith(_SCALES):
            found[key] = value
    return found


def _encoded(key: str, codes: Tensor, scales: Tensor) -> Encoded:
    codec = CODECS["flash_uint8" if key == _OF_SQUARES else "flash_int8"]
    if scales.dtype is torch.bfloat16:  # the bits of float16, so that torch does not round them
        scales = scales.view(torch.float16)
    return Encoded(codec, codes.to(codec.code).contiguous(), scales, codes.shape)


def _beside(state: State, group: Group, param: Tensor | None) -> State:
    """Return a state with the remainder of the weight in the form that it has here.

    Raises:
        ValueError: The parameter is not given, or is not in bfloat16.
    """
    if _ERROR not in state:
        return state
    if param is None:
        raise ValueError(
            "the checkpoint has a part of the weights, whose sign depends on the other part; give "
            "the parameters as the third argument, with their weights loaded: "
            "migrated(name, saved, model.parameters())"
        )
    if param.dtype is not torch.bfloat16:
        raise ValueError(
            f"the checkpoint has a remainder of a weight in half precision, and the parameter is "
            f"{param.dtype}; only that of bfloat16 is kept here. Save the weights there with "
            "get_fp32_model_state_dict(), delete 'error_bits' from each state of the checkpoint, "
            "and load them here with load_float32_state_dict"
        )
    kept = {key: value for key, value in state.items() if key != _ERROR}
    size = group["master_bytewidth"]
    return {**kept, master.REMAINDER: remainder(param.detach(), state[_ERROR], size)}


def remainder(param: Tensor, error: Tensor, size: int) -> Tensor:
    """Return the remainders of weights in bfloat16.

    There, an error is a share of half a unit in the last place of the parameter, in steps of 1/127
    or 1/32767. Here, it is the difference of two whole numbers: the bits of the weight in float32,
    and those of the parameter.

    Args:
        param: The parameter.
        error: The error as it was saved: the number of steps, or its bits as bfloat16.
        size: How many bytes a weight has there, with its error.
    """
    kind = torch.int8 if size == 3 else torch.int16
    steps = error.view(kind) if error.dtype.itemsize == kind.itemsize else error.to(kind)
    limits, weight = torch.iinfo(kind), param.float()
    bits = weight.view(torch.int32)
    exponent = ((bits >> 23) & 0xFF).clamp(min=1) - 127
    weight = weight + torch.ldexp(steps.float() / limits.max, exponent - 8)
    changed = weight.view(torch.int32)
    units = torch.where((changed ^ bits) >= 0, changed - bits, 0)
    units = (units + 0x80) >> 8 if kind is torch.int8 else units
    return units.clamp(limits.min, limits.max).to(kind)


def _weights(group: Group) -> Group:
    """Return how weights are kept."""
    return {"master_weights": _MASTERS.get(group.get("master_bytewidth"), False)}


FORMATS: Final[Mapping[str, Format]] = {
    f"flashoptim.Flash{name}": Format(
        algorithm,
        renamed=dict.fromkeys(("master_bytewidth", "quantize")),
        values={"decoupled_weight_decay": decoupled},
        state={"step": None} if algorithm in ("Lion", "SGD") else {},
        state_of=_read,
        beside=_beside,
        group_of=_weights,
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

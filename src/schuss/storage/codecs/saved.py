"""Encoded tensors in checkpoints: codes and scales as two plain tensors, under telling keys.

A state that keeps `exp_avg` by the codec `int8` is saved with the keys `exp_avg.int8.codes` and
`exp_avg.int8.scales`, so that any file format for tensors can hold it, and no other library takes
codes for numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from schuss.contract import State
from schuss.storage.codecs.encoded import Encoded
from schuss.storage.codecs.named import CODECS

_CODES, _SCALES = "codes", "scales"


def taken_apart(key: str, tensor: Encoded) -> State:
    """Return what a checkpoint holds of an encoded tensor."""
    name = f"{key}.{tensor.codec.name}"
    return {f"{name}.{_CODES}": tensor.codes, f"{name}.{_SCALES}": tensor.scales}


def all_taken_apart(state: State) -> State:
    """Return what a checkpoint holds of a state."""
    found: State = {}
    for key, value in state.items():
        found |= taken_apart(key, value) if isinstance(value, Encoded) else {key: value}
    return found


def put_together(where: str, shape: torch.Size, saved: State) -> State:
    """Return a saved state with encoded tensors in the place of their codes and scales.

    Args:
        where: A description of the parameter for messages.
        shape: The shape of the parameter.
        saved: The state in the checkpoint; not changed.

    Raises:
        ValueError: A part of a tensor is missing, or its parts do not fit each other.
    """
    found: State = {}
    for key, value in saved.items():
        base, _, part = str(key).rpartition(".")
        of, _, name = base.rpartition(".")
        if not of or name not in CODECS or part not in (_CODES, _SCALES):
            found[key] = value
        elif of not in found:
            found[of] = _encoded(where, shape, of, name, saved)
    return found


def _encoded(where: str, shape: torch.Size, key: str, name: str, saved: State) -> Encoded:
    codec = CODECS[name]
    parts: list[Any] = []
    for part in (_CODES, _SCALES):
        whole = f"{key}.{name}.{part}"
        if whole not in saved:
            raise ValueError(f"the loaded state of {where} lacks {whole!r}; load all of its keys")
        parts.append(saved[whole])
    codes, scales = parts
    expected = codec.shape_of_codes(shape), torch.Size([codec.scales_for(shape.numel())])
    for part, tensor, dtype, size in zip(
        (_CODES, _SCALES), parts, (codec.code, codec.scale), expected, strict=True
    ):
        if not isinstance(tensor, Tensor) or (tensor.dtype, tensor.shape) != (dtype, size):
            told = repr(tensor)
            if isinstance(tensor, Tensor):
                told = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise ValueError(
                f"the loaded '{key}.{name}.{part}' of {where} is {told}; it must be {dtype} of "
                f"shape {tuple(size)}"
            )
    return Encoded(codec, codes.detach().contiguous(), scales.detach().contiguous(), shape)

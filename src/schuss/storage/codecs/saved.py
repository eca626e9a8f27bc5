"""Encoded tensors in checkpoints: codes and scales as two plain tensors, under telling keys.

A state that keeps `exp_avg` by the codec `int8` is saved with the keys `exp_avg.int8.codes` and
`exp_avg.int8.scales`, so that any file format for tensors can hold it, and no other library takes
codes for numbers.

`ZeroRedundancyOptimizer` of torch puts both keys into the state itself when it loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from schuss.contract import State
from schuss.storage.codecs.codec import Codec
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
        ValueError: A part of a tensor is missing, its parts do not fit each other, or the tensor is
            there twice.
    """
    found: State = {}
    saved = _in_one(saved)
    for key, value in saved.items():
        base, _, part = str(key).rpartition(".")
        of, _, name = base.rpartition(".")
        if not of or name not in CODECS or part not in (_CODES, _SCALES):
            found[key] = value
        elif of in saved or (of in found and found[of].codec.name != name):
            raise ValueError(
                f"the loaded state of {where} has {key!r}, and {of!r} in another form too; "
                "leave one of them out"
            )
        elif of not in found:
            found[of] = _encoded(where, shape, of, name, saved)
    return found


def _in_one(saved: State) -> State:
    """Return a saved state without dictionaries for codes and scales.

    torch's `flatten_optimizer_state_dict` makes them of keys with points.
    """
    found: State = {}
    for key, value in saved.items():
        for name, parts in value.items() if isinstance(value, Mapping) else ():
            if name in CODECS and isinstance(parts, Mapping):
                found |= {f"{key}.{name}.{part}": tensor for part, tensor in parts.items()}
        if not isinstance(value, Mapping) or not value.keys() & CODECS.keys():
            found[key] = value
    return found


def put_together_within(where: str, shape: torch.Size, state: State) -> None:
    """Put an encoded tensor in the place of codes and scales that a loader has put into a state.

    Takes and raises what `put_together` does.
    """
    if any(str(key).endswith((f".{_CODES}", f".{_SCALES}")) for key in state):
        found = put_together(where, shape, state)
        state.clear()
        state.update(found)


def _encoded(where: str, shape: torch.Size, key: str, name: str, saved: State) -> Encoded:
    codec = CODECS[name]
    parts: list[Any] = []
    for part in (_CODES, _SCALES):
        whole = f"{key}.{name}.{part}"
        if whole not in saved:
            raise ValueError(f"the loaded state of {where} lacks {whole!r}; load all of its keys")
        parts.append(saved[whole])
    for index, expected in enumerate(forms_of(codec, shape)):
        part, tensor = (_CODES, _SCALES)[index], parts[index]
        if not isinstance(tensor, Tensor) or not expected.fits(tensor):
            told = repr(tensor)
            if isinstance(tensor, Tensor):
                told = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise ValueError(
                f"the loaded '{key}.{name}.{part}' of {where} is {told}; it must be "
                f"{expected.dtype} of shape {tuple(expected.shape)}"
            )
        parts[index] = expected.of(tensor)
    codes, scales = parts
    return Encoded(codec, codes, scales, shape)


class Form(NamedTuple):
    """The dtype and the shape of codes or scales, in which older checkpoints have them in a row.

    Attributes:
        dtype: The dtype.
        shape: The shape.
        may_be_flat: Whether the shape may be that of a vector, too.
    """

    dtype: torch.dtype
    shape: torch.Size
    may_be_flat: bool

    def fits(self, tensor: Tensor) -> bool:
        """Tell whether a tensor may be taken for one of this form."""
        is_flat = self.may_be_flat and tensor.shape == (self.shape.numel(),)
        return tensor.dtype is self.dtype and (tensor.shape == self.shape or is_flat)

    def of(self, tensor: Tensor) -> Tensor:
        """Return a tensor that fits in this form."""
        tensor = tensor.detach().contiguous()
        return tensor if tensor.shape == self.shape else tensor.view(self.shape)


def forms_of(codec: Codec, shape: torch.Size) -> tuple[Form, Form]:
    """Return the forms of the codes and of the scales of a tensor of some shape."""
    return (
        Form(codec.code, codec.shape_of_codes(shape), codec.per_byte > 1),
        Form(codec.scale, codec.shape_of_scales(shape), may_be_flat=True),
    )

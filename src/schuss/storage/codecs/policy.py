"""The precision in which each tensor of a state is kept, as a group asks for it.

`state_storage` is the name of a preset, or a dictionary from keys of the state to names of codecs
or of dtypes, with `"*"` for all other keys. A preset speaks of averages of gradients and of their
squares alone. Sums, maxima, slow averages and state that is made of weights move by so little in a
step that fewer bits would hold them still.

A codec for averages of gradients is not for averages of squares, and the other way round: it would
turn small squares, or negative numbers, into 0. A dictionary that names it for such a key is
refused, and `"*"` does not stand for that key.

A tensor is kept as its parameter's precision has it, whatever the group asks for, if it has fewer
than 4,096 numbers, has another shape than its parameter (statistics of rows, say), or belongs to a
complex parameter. Beside a float64 parameter `"float32"` means float64, since a rule computes in no
less than its parameter.

A parameter that several processes share is a DTensor, of which each of them has some rows. Its
state is encoded if a row is made of whole blocks. Then no block belongs to two processes, the codes
are those that one process would have, and a checkpoint may be read by any number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.storage import master
from schuss.storage.codecs.codec import Codec
from schuss.storage.codecs.encoded import Encoded, encoded
from schuss.storage.codecs.named import CODECS
from schuss.storage.precision import HALF, computed_dtype
from schuss.storage.ranks import is_distributed, is_in_rows, is_thin

SMALLEST: Final = 4096
"""How many numbers a tensor has at least that is kept in another precision."""

DTYPES: Final[Mapping[str, torch.dtype]] = {
    "float32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""The dtypes that state can be kept in, by name."""

HALVES: Final = frozenset(name for name, dtype in DTYPES.items() if dtype in HALF)
"""The names of those in half precision."""

OTHERS: Final = "*"
"""The key of a dictionary that stands for all keys that are not in it."""

OF_GRADIENTS: Final = ("exp_avg", "exp_avg_diff", "momentum_buffer", "momentum")
"""Keys of averages of gradients."""

OF_SQUARES: Final = (
    *("exp_avg_sq", "exp_avg_var", "exp_hessian_diag_sq", "exp_inf", "square_avg", "acc_delta"),
)
"""Keys of averages of squares or of magnitudes, which are never negative."""


def _preset(of_gradients: str, of_squares: str) -> Mapping[str, str]:
    first = dict.fromkeys(OF_GRADIENTS, of_gradients)
    return {**first, **dict.fromkeys(OF_SQUARES, of_squares)}


PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    "bf16": _preset("bf16", "bf16"),
    "8bit": _preset("int8", "uint8"),
    "4bit": _preset("int4", "uint4"),
}
"""The presets by name."""

Storage = str | Mapping[str, str] | None


def named(storage: Storage) -> Mapping[str, str]:
    """Return the names of codecs and dtypes by key."""
    if storage is None:
        return {}
    return PRESETS[storage] if isinstance(storage, str) else storage


def keeps_codes(storage: Storage) -> bool:
    """Tell whether some state may be encoded."""
    return storage is not None and any(name in CODECS for name in named(storage).values())


def frozen(storage: Storage) -> object:
    """Return something that is equal only for the same choice, and that nobody can change."""
    return storage if storage is None or isinstance(storage, str) else tuple(storage.items())


def keep(state: State, group: Group, param: Tensor) -> None:
    """Bring the tensors of a state into the precision that a group asks for.

    Args:
        state: The state of a parameter.
        group: The group, with `state_storage`.
        param: The parameter.
    """
    for key, value in state.items():
        if isinstance(value, Tensor) and key not in master.KEYS:
            kept = _kept(value, wanted(key, value, group, param), param)
            if kept is not value:
                state[key] = kept


def wanted(key: str, tensor: Tensor, group: Group, param: Tensor) -> str | None:
    """Return the codec or the dtype that a group asks for, by name; None if for nothing.

    Args:
        key: The key of a tensor in a state.
        tensor: The tensor.
        group: The group, with `state_storage`.
        param: The parameter.
    """
    names = named(group.get("state_storage"))
    name = names.get(key, names.get(OTHERS)) if _can_be_kept(tensor, param) else None
    codec = CODECS.get(name or "")
    if codec is None:
        return name
    return name if is_for(codec, key) and _is_made_of_blocks(param, codec) else None


def is_for(codec: Codec, key: str) -> bool:
    """Tell whether a codec is for the state of a key: for its sign, or for its small squares."""
    if key in OF_SQUARES:
        return codec.is_for_squares
    return codec.is_signed or key not in OF_GRADIENTS


def _can_be_kept(tensor: Tensor, param: Tensor) -> bool:
    """Tell whether a tensor may be kept in another precision than that of its parameter."""
    is_shared = is_distributed(param) and not is_thin(param)
    return (
        (is_shared or type(param) in (Tensor, torch.nn.Parameter))
        and tensor.shape == param.shape
        and tensor.numel() >= SMALLEST
        and tensor.is_floating_point()
        and param.is_floating_point()
        and tensor.layout is torch.strided
    )


def _is_made_of_blocks(param: Tensor, codec: Codec) -> bool:
    """Tell whether no block of a codec would belong to several ranks."""
    return not is_distributed(param) or (is_in_rows(param) and codec.has_whole_rows(param.shape))


def _kept(tensor: Tensor, name: str | None, param: Tensor) -> Tensor:
    """Return a tensor as a codec or a dtype keeps it; itself, if it is kept so already."""
    codec = CODECS.get(name or "")
    if isinstance(tensor, Encoded):
        if codec is tensor.codec:
            return _read_as(tensor, computed_dtype(param.dtype))
        tensor = tensor.decoded()
    if codec is not None:
        return encoded(codec, tensor.to(computed_dtype(param.dtype)))
    if name == "float32":
        return tensor.to(computed_dtype(param.dtype))
    if name is not None:
        return tensor.to(DTYPES[name])
    narrow = tensor.dtype in HALF and param.dtype not in HALF
    return tensor.to(param.dtype) if narrow and _can_be_kept(tensor, param) else tensor


def _read_as(tensor: Encoded, dtype: torch.dtype) -> Encoded:
    """Return the tensor that the same codes stand for, read as some dtype."""
    if tensor.dtype is dtype:
        return tensor
    return Encoded(tensor.codec, tensor.codes, tensor.scales, tensor.shape, dtype)

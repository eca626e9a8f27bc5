"""The names of the kinds of numbers that tensors of a state are kept in, encoded ones among them.

A kernel is chosen by these names: two states whose tensors have the same kinds share one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from torch import Tensor

from schuss.contract import State
from schuss.storage.codecs.codec import Codec
from schuss.storage.codecs.encoded import Encoded
from schuss.storage.codecs.named import CODECS
from schuss.storage.kinds import CODES, KIND_OF

ENCODED: Final = "encoded as "
"""The beginning of the names of the kinds of encoded tensors."""


def kind_of(tensor: Tensor) -> str:
    """Return the name of the kind of a tensor: that of its dtype, or one for its codec."""
    if isinstance(tensor, Encoded):
        return ENCODED + tensor.codec.name
    return KIND_OF[tensor.dtype] if tensor.dtype in KIND_OF else CODES[tensor.dtype]


def codec_of_kind(kind: str) -> Codec | None:
    """Return the codec of a kind, or None if its numbers are kept by a dtype."""
    return CODECS[kind.removeprefix(ENCODED)] if kind.startswith(ENCODED) else None


def codecs_of(state: State, keys: Iterable[str]) -> dict[str, Codec]:
    """Return the codecs of those keys of a state whose tensors are encoded."""
    tensors = ((key, state[key]) for key in keys)
    return {key: tensor.codec for key, tensor in tensors if isinstance(tensor, Encoded)}

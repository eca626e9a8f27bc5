"""Codecs by name."""

from __future__ import annotations

from typing import Final

from schuss.storage.codecs.codec import Codec
from schuss.storage.codecs.companded import Int8, UInt8
from schuss.storage.codecs.dynamic import Dynamic8, UDynamic8
from schuss.storage.codecs.flash import FlashInt8, FlashUInt8
from schuss.storage.codecs.floats import E4M3, E5M2
from schuss.storage.codecs.four_bit import Int4, UInt4

CODECS: Final[dict[str, Codec]] = {
    codec.name: codec
    for codec in (
        *(Int8(), UInt8(), Dynamic8(), UDynamic8(), Int4(), UInt4()),
        *(E4M3(), E5M2(), FlashInt8(), FlashUInt8()),
    )
}
"""All codecs by name."""

"""Codecs: state in few bytes."""

from schuss.storage.codecs.codec import Codec
from schuss.storage.codecs.encoded import Encoded, copy_all, encoded, parts_of
from schuss.storage.codecs.named import CODECS

__all__ = ["CODECS", "Codec", "Encoded", "copy_all", "encoded", "parts_of"]

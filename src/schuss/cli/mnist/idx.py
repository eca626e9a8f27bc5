"""The IDX format of MNIST: images and labels as unsigned bytes behind a short header.

A file begins with two zero bytes, one byte for the type of the values (8 stands for unsigned bytes)
and one for the number of dimensions. The size of each dimension follows, as a big-endian 32-bit
integer, then the values, in the order of a C array. <https://github.com/cvdfoundation/mnist>

Whether a file is gzipped is told by its content: browsers and tools like to unpack a `.gz` file and
keep its name.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from schuss.cli.errors import DataFileError

IMAGE_SHAPE: Final = (28, 28)
CLASSES: Final = 10

_UNSIGNED_BYTE: Final = 8
_TYPES: Final = {
    8: "unsigned bytes",
    9: "signed bytes",
    11: "16-bit integers",
    12: "32-bit integers",
    13: "32-bit floats",
    14: "64-bit floats",
}
_CONTENTS: Final = {1: "labels (1 dimension)", 3: "images (3 dimensions)"}
_GZIP: Final = b"\x1f\x8b"


def read_images(path: Path) -> Tensor:
    """Read a file of images of 28 x 28 pixels.

    Args:
        path: The file, gzipped or not.

    Returns:
        The pixels, of shape (images, 28, 28) and type uint8.

    Raises:
        DataFileError: The file cannot be read, or is not such a file.
    """
    images = _read(path, dimensions=3)
    if images.shape[1:] != IMAGE_SHAPE:
        height, width = images.shape[1:]
        raise DataFileError(
            f"{path} holds images of {height} x {width} pixels, expected 28 x 28; "
            "it belongs to another data set"
        )
    return images


def read_labels(path: Path) -> Tensor:
    """Read a file of labels from 0 to 9.

    Args:
        path: The file, gzipped or not.

    Returns:
        The labels, of shape (labels,) and type uint8.

    Raises:
        DataFileError: The file cannot be read, or is not such a file.
    """
    labels = _read(path, dimensions=1)
    outside = (labels >= CLASSES).nonzero()
    if len(outside):
        position = int(outside[0])
        raise DataFileError(
            f"{path} holds the label {int(labels[position])} at position {position}, expected 0 "
            f"to {CLASSES - 1}; it belongs to another data set, or is damaged"
        )
    return labels


def _read(path: Path, dimensions: int) -> Tensor:
    content = _unpacked(path)
    _check_magic(path, content, dimensions)
    values_start = 4 + 4 * dimensions
    if len(content) < values_start:
        raise DataFileError(
            f"{path} ends within its header, after {len(content)} of {values_start} bytes; "
            "it is truncated: get it anew"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:values_start])
    expected, found = math.prod(shape), len(content) - values_start
    if found != expected:
        sizes = " x ".join(map(str, shape))
        problem = "is truncated" if found < expected else "has bytes that do not belong to it"
        raise DataFileError(
            f"{path} holds {found} bytes of values, but its header announces {sizes} = "
            f"{expected}; it {problem}: get it anew"
        )
    if shape[0] == 0:
        raise DataFileError(f"{path} is empty: its header announces 0 {_CONTENTS[dimensions]}")
    # A bytearray, because torch wants memory that it may write to.
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=values_start).view(shape)


def _unpacked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror}") from None
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(
            f"{path} cannot be unpacked ({error}); it is truncated or damaged: get it anew"
        ) from None


def _check_magic(path: Path, content: bytes, dimensions: int) -> None:
    expected = struct.pack(">HBB", 0, _UNSIGNED_BYTE, dimensions)
    magic = content[:4]
    if magic == expected:
        return
    wanted = (
        f"expected {_CONTENTS[dimensions]} in the IDX format, which begin with {expected.hex()}"
    )
    if len(magic) < len(expected):
        raise DataFileError(f"{path} has only {len(magic)} bytes; {wanted}: get it anew")
    zeros, kind, rank = struct.unpack(">HBB", magic)
    if zeros or kind not in _TYPES:
        page = " (a web page?)" if content.lstrip()[:1] == b"<" else ""
        raise DataFileError(f"{path} begins with {magic.hex()}{page}; {wanted}")
    if kind != _UNSIGNED_BYTE:
        raise DataFileError(f"{path} holds {_TYPES[kind]} ({magic.hex()}); {wanted}")
    holds = _CONTENTS.get(rank, f"values in {rank} dimensions")
    swapped = "; are the files of images and labels swapped?" if rank in _CONTENTS else ""
    raise DataFileError(f"{path} holds {holds}; {wanted}{swapped}")

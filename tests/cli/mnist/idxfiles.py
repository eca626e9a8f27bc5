"""IDX files made from scikit-learn's digits, for tests to read and to break."""

import gzip
import struct
from pathlib import Path
from typing import NoReturn

from torch import Tensor

from schuss.cli.mnist.datasets import Dataset, load_digits
from schuss.cli.mnist.sources import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS

TRAIN, TEST = 128, 48


def encoded(values: Tensor) -> bytes:
    """Return bytes of any shape in the IDX format."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return header + bytes(values.byte().flatten().tolist())


def contents() -> dict[str, bytes]:
    """Return the four files of a small data set, by name."""
    digits: Dataset = load_digits()
    return {
        TRAIN_IMAGES: encoded(digits.train_images[:TRAIN].squeeze(1)),
        TRAIN_LABELS: encoded(digits.train_labels[:TRAIN]),
        TEST_IMAGES: encoded(digits.test_images[:TEST].squeeze(1)),
        TEST_LABELS: encoded(digits.test_labels[:TEST]),
    }


def write(directory: Path, files: dict[str, bytes], *, zipped: bool = False) -> None:
    """Write files into a new directory."""
    directory.mkdir(parents=True)
    for name, content in files.items():
        if zipped:
            (directory / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (directory / name).write_bytes(content)


def no_download(name: str, url: str) -> NoReturn:
    """Take the place of what shows a download, where there must be none."""
    raise AssertionError(f"{name} is downloaded from {url}")

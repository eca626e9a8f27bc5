"""The IDX format: what is read, and what is wrong with each file that is not."""

import gzip
import re
import struct
from pathlib import Path

import pytest
import torch

from schuss.cli.errors import DataFileError
from schuss.cli.mnist.idx import read_images, read_labels
from schuss.cli.mnist.sources import TRAIN_IMAGES, TRAIN_LABELS
from tests.cli.mnist.idxfiles import TRAIN, encoded


@pytest.fixture
def images(files: dict[str, bytes]) -> bytes:
    return files[TRAIN_IMAGES]


@pytest.fixture
def labels(files: dict[str, bytes]) -> bytes:
    return files[TRAIN_LABELS]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some-file"


def refused(path: Path, content: bytes, *, labels: bool = False) -> str:
    """Return why a file with this content is not read; check that the reason names it."""
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=re.escape(str(path))) as caught:
        read_labels(path) if labels else read_images(path)
    return str(caught.value).replace(str(path), "FILE")


def test_values_come_back_as_they_were_written(path: Path) -> None:
    written = torch.arange(2 * 28 * 28, dtype=torch.int64).remainder(256).view(2, 28, 28)
    path.write_bytes(encoded(written))
    read = read_images(path)
    assert read.dtype is torch.uint8
    assert torch.equal(read, written.byte())


def test_gzip_is_told_by_content_not_by_name(tmp_path: Path, images: bytes, labels: bytes) -> None:
    (tmp_path / "zipped").write_bytes(gzip.compress(images))
    (tmp_path / "plain.gz").write_bytes(labels)
    assert read_images(tmp_path / "zipped").shape == (TRAIN, 28, 28)
    assert read_labels(tmp_path / "plain.gz").shape == (TRAIN,)


def test_a_missing_file_is_told(path: Path) -> None:
    with pytest.raises(DataFileError, match=r"cannot read .*some-file: No such file"):
        read_images(path)


def test_a_truncated_file_is_told(path: Path, images: bytes) -> None:
    # 128 * 28 * 28 = 100352 bytes of values; one is gone.
    assert refused(path, images[:-1]) == (
        "FILE holds 100351 bytes of values, but its header announces 128 x 28 x 28 = 100352; "
        "it is truncated: get it anew"
    )


def test_bytes_at_the_end_are_told(path: Path, labels: bytes) -> None:
    assert refused(path, labels + b"\n", labels=True) == (
        "FILE holds 129 bytes of values, but its header announces 128 = 128; "
        "it has bytes that do not belong to it: get it anew"
    )


@pytest.mark.parametrize("length", [4, 8, 15])
def test_a_truncated_header_is_told(path: Path, images: bytes, length: int) -> None:
    assert f"ends within its header, after {length} of 16 bytes" in refused(path, images[:length])


@pytest.mark.parametrize("content", [b"", b"\0\0\x08"])
def test_a_file_shorter_than_its_magic_number_is_told(path: Path, content: bytes) -> None:
    assert f"FILE has only {len(content)} bytes" in refused(path, content)


def test_a_truncated_gzip_file_is_told(path: Path, images: bytes) -> None:
    message = refused(path, gzip.compress(images)[:-20])
    assert message.startswith("FILE cannot be unpacked (Compressed file ended")
    assert message.endswith("it is truncated or damaged: get it anew")


def test_a_damaged_gzip_file_is_told(path: Path, images: bytes) -> None:
    zipped = bytearray(gzip.compress(images))
    zipped[len(zipped) // 2] ^= 0xFF
    assert refused(path, bytes(zipped)).startswith("FILE cannot be unpacked")


def test_something_else_after_a_gzip_file_is_told(path: Path, images: bytes) -> None:
    assert refused(path, gzip.compress(images) + b"more").startswith("FILE cannot be unpacked")


def test_labels_in_place_of_images_are_told(path: Path, labels: bytes) -> None:
    assert refused(path, labels) == (
        "FILE holds labels (1 dimension); expected images (3 dimensions) in the IDX format, which "
        "begin with 00000803; are the files of images and labels swapped?"
    )


def test_images_in_place_of_labels_are_told(path: Path, images: bytes) -> None:
    assert "FILE holds images (3 dimensions)" in refused(path, images, labels=True)


def test_a_web_page_is_told(path: Path) -> None:
    message = refused(path, b"<!DOCTYPE html><title>404</title>")
    assert message.startswith("FILE begins with 3c21444f (a web page?); expected images")


def test_another_type_of_values_is_told(path: Path) -> None:
    content = struct.pack(">HBB3I", 0, 13, 3, 1, 28, 28) + bytes(4 * 28 * 28)
    assert refused(path, content).startswith("FILE holds 32-bit floats (00000d03); expected")


def test_another_number_of_dimensions_is_told(path: Path) -> None:
    assert "FILE holds values in 4 dimensions" in refused(path, encoded(torch.zeros(1, 28, 28, 3)))


def test_images_of_another_size_are_told(path: Path) -> None:
    assert refused(path, encoded(torch.zeros(3, 32, 30))) == (
        "FILE holds images of 32 x 30 pixels, expected 28 x 28; it belongs to another data set"
    )


def test_a_label_above_9_is_told(path: Path, labels: bytes) -> None:
    # Eight bytes of header, so that byte 8 + 5 is the label at position 5.
    content = labels[:13] + b"\x0c" + labels[14:]
    assert refused(path, content, labels=True) == (
        "FILE holds the label 12 at position 5, expected 0 to 9; it belongs to another data set, "
        "or is damaged"
    )


def test_an_empty_data_set_is_told(path: Path) -> None:
    assert "is empty" in refused(path, encoded(torch.zeros(0, 28, 28)))

"""The data sets as tensors."""

import os
from pathlib import Path

import pytest
import torch

from schuss.cli.errors import DataFileError
from schuss.cli.mnist.datasets import Dataset, load, load_digits
from schuss.cli.mnist.sources import NAMES, TEST_LABELS, TRAIN_LABELS
from tests.cli.mnist import idxfiles
from tests.cli.mnist.idxfiles import TEST, TRAIN, no_download


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits()


def test_digits_are_all_there_in_the_form_of_mnist(digits: Dataset) -> None:
    assert digits.train_images.shape == (1437, 1, 28, 28)
    assert digits.test_images.shape == (360, 1, 28, 28)
    assert digits.train_images.dtype is torch.uint8
    # 20 x 20 pixels amid 28 x 28: four of margin on each side.
    margin = digits.train_images.clone()
    margin[:, :, 4:24, 4:24] = 0
    assert margin.count_nonzero() == 0
    assert digits.train_images.max() == 255


def test_every_fifth_image_of_each_class_is_for_testing(digits: Dataset) -> None:
    train = digits.train_labels.bincount(minlength=10)
    test = digits.test_labels.bincount(minlength=10)
    share = test / (train + test)
    assert share.sub(0.2).abs().max() < 0.005


def test_digits_are_split_the_same_way_each_time(digits: Dataset) -> None:
    again = load_digits()
    assert again.sha256 == digits.sha256
    assert torch.equal(again.test_labels, digits.test_labels)


def test_moments_are_those_of_the_pixels_to_learn_from(digits: Dataset) -> None:
    pixels = digits.train_images.double()
    assert digits.mean == pytest.approx(pixels.mean().item())
    assert digits.deviation == pytest.approx(pixels.std(correction=0).item())


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", NAMES[1:])
def test_files_of_the_user_are_read(
    name: str, zipped: bool, tmp_path: Path, files: dict[str, bytes]
) -> None:
    idxfiles.write(tmp_path / "mine", files, zipped=zipped)
    data = load(name, tmp_path / "mine", no_download)
    digits = load_digits()
    assert data.name == name
    assert torch.equal(data.train_images, digits.train_images[:TRAIN])
    assert torch.equal(data.train_labels, digits.train_labels[:TRAIN])
    assert torch.equal(data.test_images, digits.test_images[:TEST])
    assert torch.equal(data.test_labels, digits.test_labels[:TEST])
    assert data.test_labels.dtype is torch.int64


def test_more_images_than_labels_are_told(tmp_path: Path, files: dict[str, bytes]) -> None:
    directory = tmp_path / "mixed"
    idxfiles.write(directory, files | {TRAIN_LABELS: files[TEST_LABELS]})
    message = (
        rf"mixed{os.sep}train-images-idx3-ubyte holds {TRAIN} images, but .*"
        rf"train-labels-idx1-ubyte holds {TEST} labels; they do not belong together"
    )
    with pytest.raises(DataFileError, match=message):
        load("mnist", directory, no_download)

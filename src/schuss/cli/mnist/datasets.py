"""The data sets, as tensors: four of images of 28 x 28 pixels in 10 classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from sklearn import datasets as sklearn_datasets
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn.functional import interpolate, pad

from schuss.cli.errors import DataFileError
from schuss.cli.mnist import sources
from schuss.cli.mnist.files import ShowDownload, locate
from schuss.cli.mnist.idx import read_images, read_labels
from schuss.cli.mnist.sources import DIGITS, SOURCES, Source

_DIGITS_TITLE: Final = "scikit-learn's handwritten digits"
_DIGITS_MAXIMUM: Final = 16  # a pixel counts the dots that are set among 4 x 4
_TEST_SHARE: Final = 0.2
_SPLIT_SEED: Final = 0


@dataclass(frozen=True)
class Dataset:
    """Images of shape (n, 1, 28, 28) and type uint8, and their labels of shape (n,) and type int64.

    Attributes:
        name: Its name on the command line.
        title: Its name in prose.
        train_images: The images to learn from.
        train_labels: Their labels.
        test_images: The images to test on.
        test_labels: Their labels.
        mean: Mean of the pixels to learn from.
        deviation: Standard deviation of the pixels to learn from.
        sha256: Digest of all images and labels.
    """

    name: str
    title: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    mean: float
    deviation: float
    sha256: str

    def to(self, device: str) -> Dataset:
        """Return the data set on `device`."""
        return replace(
            self,
            train_images=self.train_images.to(device),
            train_labels=self.train_labels.to(device),
            test_images=self.test_images.to(device),
            test_labels=self.test_labels.to(device),
        )


def load(name: str, data_dir: Path | None, show: ShowDownload) -> Dataset:
    """Load a data set by name.

    Args:
        name: One of `sources.NAMES`.
        data_dir: A directory to look for its files in, before the cache.
        show: Shows a download.

    Raises:
        DataFileError: A file is missing and cannot be downloaded, or is not what it should be.
    """
    return load_digits() if name == DIGITS else load_source(SOURCES[name], data_dir, show)


def load_digits() -> Dataset:
    """Load scikit-learn's digits, in the form of MNIST's: of 20 x 20 pixels amid 28 x 28.

    They have 8 x 8 pixels. Enlarged, the network that is made for MNIST takes them as they are.
    A fifth of each class is for testing, always the same.
    """
    bunch = sklearn_datasets.load_digits()
    small = torch.from_numpy(bunch.images).float().unsqueeze(1) * (255 / _DIGITS_MAXIMUM)
    large = interpolate(small, size=(20, 20), mode="bilinear", align_corners=False)
    images = pad(large, (4, 4, 4, 4)).round().to(torch.uint8)
    labels = torch.from_numpy(bunch.target)
    train, test = train_test_split(
        range(len(labels)), test_size=_TEST_SHARE, stratify=bunch.target, random_state=_SPLIT_SEED
    )
    return _dataset(DIGITS, _DIGITS_TITLE, images[train], labels[train], images[test], labels[test])


def load_source(source: Source, data_dir: Path | None, show: ShowDownload) -> Dataset:
    """Load a data set from its four files, downloading those that are missing.

    Args:
        source: The data set.
        data_dir: A directory to look for its files in, before the cache.
        show: Shows a download.

    Raises:
        DataFileError: A file is missing and cannot be downloaded, or is not what it should be.
    """
    paths = locate(source, data_dir, show)
    train = _read_pair(paths[sources.TRAIN_IMAGES], paths[sources.TRAIN_LABELS])
    test = _read_pair(paths[sources.TEST_IMAGES], paths[sources.TEST_LABELS])
    return _dataset(source.name, source.title, *train, *test)


def _read_pair(images_path: Path, labels_path: Path) -> tuple[Tensor, Tensor]:
    images, labels = read_images(images_path), read_labels(labels_path)
    if len(images) != len(labels):
        raise DataFileError(
            f"{images_path} holds {len(images)} images, but {labels_path} holds {len(labels)} "
            "labels; they do not belong together"
        )
    return images.unsqueeze(1), labels.long()


def _dataset(
    name: str,
    title: str,
    train_images: Tensor,
    train_labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
) -> Dataset:
    tensors = (train_images, train_labels, test_images, test_labels)
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().data)
    mean, deviation = _moments(train_images)
    return Dataset(name, title, *tensors, mean=mean, deviation=deviation, sha256=digest.hexdigest())


def _moments(images: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of bytes, without a copy of them as floats."""
    share = torch.bincount(images.flatten(), minlength=256).double() / images.numel()
    values = torch.arange(256, dtype=torch.float64)
    mean = share @ values
    variance = share @ (values - mean).square()
    return mean.item(), variance.sqrt().item() or 1.0

"""The sources of the data sets, and the names of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TRAIN_IMAGES: Final = "train-images-idx3-ubyte"
TRAIN_LABELS: Final = "train-labels-idx1-ubyte"
TEST_IMAGES: Final = "t10k-images-idx3-ubyte"
TEST_LABELS: Final = "t10k-labels-idx1-ubyte"

FILES: Final = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


@dataclass(frozen=True)
class Source:
    """A data set to download.

    Attributes:
        name: Its name on the command line.
        title: Its name in prose.
        url: The address of its directory, with a slash at the end.
        folders: Where in a directory of data its files may lie; the last is `torchvision`'s.
        sha256: The digest of each gzipped file at `url`, by the name of the unpacked file.
    """

    name: str
    title: str
    url: str
    folders: tuple[str, ...]
    sha256: Mapping[str, str]


# The digests are those that TensorFlow Datasets records (url_checksums/*.txt), as does torchvision
# for Ruby. Those of Fashion-MNIST are of the files with the MD5 digests that its authors publish.
SOURCES: Final[Mapping[str, Source]] = {
    "mnist": Source(
        name="mnist",
        title="MNIST",
        url="https://ossci-datasets.s3.amazonaws.com/mnist/",
        folders=("mnist", "MNIST/raw"),
        sha256={
            TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": Source(
        name="fashion-mnist",
        title="Fashion-MNIST",
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        folders=("fashion-mnist", "FashionMNIST/raw"),
        sha256={
            TRAIN_IMAGES: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            TRAIN_LABELS: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            TEST_IMAGES: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            TEST_LABELS: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    "kmnist": Source(
        name="kmnist",
        title="Kuzushiji-MNIST",
        url="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        folders=("kmnist", "KMNIST/raw"),
        sha256={
            TRAIN_IMAGES: "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            TRAIN_LABELS: "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            TEST_IMAGES: "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            TEST_LABELS: "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        },
    ),
}

DIGITS: Final = "digits"
"""The data set that needs no files: scikit-learn brings it."""

NAMES: Final = (DIGITS, *SOURCES)
"""The names of the data sets: the values of `--data`."""

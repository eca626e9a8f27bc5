"""The files of a data set: looked up on disk, or else downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

import pooch

from schuss.cli.errors import DataFileError
from schuss.cli.mnist.sources import FILES, Source

CACHE_VARIABLE: Final = "SCHUSS_DATA_DIR"

_TIMEOUT: Final = 30  # seconds without a byte
_CHUNK: Final = 1 << 16  # bytes; a bar that is drawn for every 1024, as pooch has it, costs time


class Bar(Protocol):
    """The methods that pooch calls on the bar that shows a download."""

    total: int

    def update(self, count: int) -> None:
        """Count `count` bytes more."""

    def reset(self) -> None:
        """Count from 0 again."""

    def close(self) -> None:
        """Do nothing more."""


ShowDownload = Callable[[str, str], AbstractContextManager[Bar]]
"""Called with the name of a file and the address it comes from, when a download begins."""


def cache_directory() -> Path:
    """Return the directory for downloads: `$SCHUSS_DATA_DIR`, else the system's cache."""
    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("schuss"))


def locate(source: Source, data_dir: Path | None, show: ShowDownload) -> dict[str, Path]:
    """Return the path of each of the four files of a data set, downloading those that are missing.

    A file is looked for in `data_dir`, then in the cache. It may be gzipped, and it may lie in a
    subdirectory with the name of the data set. A file on disk is taken as it is; a download has to
    have the right SHA-256.

    Args:
        source: The data set.
        data_dir: A directory with files of the user's own.
        show: Shows a download.

    Raises:
        DataFileError: `data_dir` is no directory, or a download failed.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise DataFileError(f"--data-dir {data_dir} is no directory")
    return {file: _find(source, file, data_dir) or _download(source, file, show) for file in FILES}


def _find(source: Source, file: str, data_dir: Path | None) -> Path | None:
    candidates = _candidates(source, file, data_dir)
    return next((path for path in candidates if path.is_file()), None)


def _candidates(source: Source, file: str, data_dir: Path | None) -> Iterator[Path]:
    directories = [cache_directory() / folder for folder in source.folders]
    if data_dir is not None:
        # Its subdirectories first: only they tell which data set is in them.
        directories = [*(data_dir / folder for folder in source.folders), data_dir, *directories]
    # Some distributions, Kaggle's among them, write train-images.idx3-ubyte.
    spellings = (file, file.replace("-idx", ".idx"))
    for directory in directories:
        for spelling in spellings:
            yield directory / spelling
            yield directory / f"{spelling}.gz"


def _download(source: Source, file: str, show: ShowDownload) -> Path:
    name, directory = f"{file}.gz", cache_directory() / source.name
    url = source.url + name
    pooch.get_logger().setLevel("WARNING")  # the bar tells what pooch would log
    try:
        with show(name, url) as bar:
            path = pooch.retrieve(
                url=url,
                known_hash=f"sha256:{source.sha256[file]}",
                fname=name,
                path=directory,
                downloader=pooch.HTTPDownloader(
                    progressbar=bar, timeout=_TIMEOUT, chunk_size=_CHUNK
                ),
            )
    except OSError as error:  # among them all of those that requests raises
        raise DataFileError(_offline(source, name, directory, error)) from error
    except ValueError as error:
        raise DataFileError(
            f"{url} is not the file that it should be: its SHA-256 is not "
            f"{source.sha256[file]}. Try again; if it stays so, get {name} from elsewhere and put "
            f"it into {directory}"
        ) from error
    return Path(path)


def _offline(source: Source, name: str, directory: Path, error: OSError) -> str:
    files = "".join(f"\n    {file}.gz" for file in FILES)
    return (
        f"cannot download {name} of {source.title}: {error}\n"
        f"Without a network, get these files from {source.url}{files}\n"
        f"and put them, gzipped or not, into {directory}\n"
        "or into a directory of your own, and name that with --data-dir."
    )

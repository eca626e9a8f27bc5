"""A small data set on disk, and no way to the network or to the user's cache."""

from pathlib import Path

import pytest

from tests.cli.mnist import idxfiles


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    return idxfiles.contents()


@pytest.fixture
def data_dir(tmp_path: Path, files: dict[str, bytes]) -> Path:
    directory = tmp_path / "data"
    idxfiles.write(directory, files)
    return directory


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the cache to an empty directory, and every proxy to a port where no one listens."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("SCHUSS_DATA_DIR", str(directory))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    return directory

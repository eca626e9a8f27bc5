"""Where the files of a data set are looked for, and how they are downloaded."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from schuss.cli.errors import DataFileError
from schuss.cli.mnist.files import locate
from schuss.cli.mnist.progress import shown_download
from schuss.cli.mnist.sources import FILES, SOURCES, TEST_IMAGES, TRAIN_IMAGES, Source
from tests.cli.mnist import idxfiles


class Server(ThreadingHTTPServer):
    """Serves files from memory, cutting those named in `cut` short."""

    def __init__(self, content: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.cut: set[str] = set()
        self.served: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        content = self.server.content.get(name)
        if content is None:
            self.send_error(404)
            return
        self.server.served.append(name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:-50] if name in self.server.cut else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server({f"{name}.gz": gzip.compress(file) for name, file in files.items()}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def source(server: Server) -> Source:
    """Return a data set like MNIST, but on our server."""
    sha256 = {
        name.removesuffix(".gz"): hashlib.sha256(content).hexdigest()
        for name, content in server.content.items()
    }
    url = f"http://127.0.0.1:{server.server_port}/mnist/"
    return replace(SOURCES["mnist"], url=url, sha256=sha256)


def located(
    source: Source, data_dir: Path | None = None, output: StringIO | None = None
) -> list[Path]:
    console = Console(file=output or StringIO(), width=200)
    paths = locate(source, data_dir, partial(shown_download, console))
    assert tuple(paths) == FILES
    return list(paths.values())


def test_downloads_go_to_the_cache_once(
    source: Source, server: Server, cache: Path, files: dict[str, bytes]
) -> None:
    first = located(source)
    assert first == [cache / "mnist" / f"{name}.gz" for name in FILES]
    assert [gzip.decompress(path.read_bytes()) for path in first] == list(files.values())
    assert located(source) == first
    assert len(server.served) == 4


def test_only_what_is_missing_is_downloaded(
    source: Source, server: Server, tmp_path: Path, files: dict[str, bytes]
) -> None:
    idxfiles.write(tmp_path / "mine", {name: files[name] for name in FILES[1:]})
    paths = located(source, tmp_path / "mine")
    assert server.served == [f"{TRAIN_IMAGES}.gz"]
    assert [path.parent.name for path in paths] == ["mnist", "mine", "mine", "mine"]


def test_a_log_gets_a_line_for_each_download(source: Source) -> None:
    output = StringIO()
    located(source, output=output)
    assert output.getvalue().splitlines() == [
        f"downloading {source.url}{name}.gz" for name in FILES
    ]


def test_a_wrong_digest_is_told_and_nothing_is_kept(source: Source, cache: Path) -> None:
    sha256 = {**source.sha256, TEST_IMAGES: "0" * 64}
    with pytest.raises(DataFileError) as caught:
        located(replace(source, sha256=sha256))
    assert f"{source.url}{TEST_IMAGES}.gz is not the file that it should be" in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert str(cache / "mnist") in str(caught.value)
    assert {path.name for path in (cache / "mnist").iterdir()} == {
        f"{name}.gz" for name in FILES[:2]
    }


def test_a_download_that_is_cut_short_is_told_and_nothing_is_kept(
    source: Source, server: Server, cache: Path
) -> None:
    server.cut.add(f"{TRAIN_IMAGES}.gz")
    with pytest.raises(DataFileError, match=rf"cannot download {TRAIN_IMAGES}.gz of MNIST: "):
        located(source)
    assert list((cache / "mnist").iterdir()) == []


def test_a_file_that_the_server_does_not_have_is_told(source: Source, server: Server) -> None:
    server.content.clear()
    with pytest.raises(DataFileError, match="404"):
        located(source)


def test_without_a_network_the_files_and_their_place_are_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    source = replace(SOURCES["kmnist"], url="http://127.0.0.1:1/")  # no one listens there
    with pytest.raises(DataFileError) as caught:
        located(source)
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("cannot download train-images-idx3-ubyte.gz of Kuzushiji-MNIST: ")
    assert "refused" in first
    assert rest == [
        "Without a network, get these files from http://127.0.0.1:1/",
        *(f"    {name}.gz" for name in FILES),
        f"and put them, gzipped or not, into {cache / 'kmnist'}",
        "or into a directory of your own, and name that with --data-dir.",
    ]


def test_a_cache_that_cannot_be_written_to_is_told(source: Source, cache: Path) -> None:
    cache.write_text("not a directory")
    with pytest.raises(DataFileError, match=r"cannot download .*ot a directory"):
        located(source)


@pytest.mark.parametrize("folder", ["", "fashion-mnist", "FashionMNIST/raw"])
@pytest.mark.parametrize("zipped", [False, True])
def test_files_are_found_in_the_directory_and_in_its_subdirectories(
    folder: str, zipped: bool, tmp_path: Path, files: dict[str, bytes]
) -> None:
    idxfiles.write(tmp_path / "mine" / folder, files, zipped=zipped)
    paths = located(SOURCES["fashion-mnist"], tmp_path / "mine")
    assert {path.parent for path in paths} == {tmp_path / "mine" / folder}


def test_a_subdirectory_goes_before_the_directory_and_that_before_the_cache(
    tmp_path: Path, cache: Path, files: dict[str, bytes]
) -> None:
    idxfiles.write(cache / "mnist", files)
    idxfiles.write(tmp_path / "mine", {name: files[name] for name in FILES[:2]})
    idxfiles.write(tmp_path / "mine" / "mnist", {name: files[name] for name in FILES[:1]})
    paths = located(SOURCES["mnist"], tmp_path / "mine")
    assert [path.parent for path in paths] == [
        tmp_path / "mine" / "mnist",
        tmp_path / "mine",
        cache / "mnist",
        cache / "mnist",
    ]


def test_names_with_a_dot_are_found_too(tmp_path: Path, files: dict[str, bytes]) -> None:
    idxfiles.write(
        tmp_path / "kaggle", {name.replace("-idx", ".idx"): file for name, file in files.items()}
    )
    assert located(SOURCES["mnist"], tmp_path / "kaggle")[0].name == "train-images.idx3-ubyte"


def test_a_data_dir_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"--data-dir .*nowhere is no directory"):
        located(SOURCES["mnist"], tmp_path / "nowhere")

"""The files of kernels: the sources, and the machine code."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import schuss

STEP = """
import sys
import schuss, torch
param = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
param.grad = torch.ones(2)
schuss.SGD([param], lr=0.5, fused=True).step()
print(param.tolist(), "numba" in sys.modules)
"""
OTHER_KERNEL = """
import schuss, torch
param = torch.nn.Parameter(torch.ones(2))
param.grad = torch.ones(2)
schuss.AdamW([param], lr=0.5, fused=True).step()
"""


def run(code: str, cache: Path, *folders: Path) -> str:
    path = [*map(str, folders), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"SCHUSS_CACHE_DIR": str(cache), "PYTHONPATH": ":".join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def step_in_a_new_process(cache: Path, *folders: Path) -> bool:
    """Make a step, with modules of these folders first, and tell whether it had to be compiled."""
    path, _, compiled = run(STEP, cache, *folders).rpartition(" ")
    assert path == "[0.5, -2.5]"
    return compiled == "True\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a folder with the files of two kernels."""
    folder = tmp_path_factory.mktemp("written")
    assert step_in_a_new_process(folder)
    run(OTHER_KERNEL, folder)
    return folder


@pytest.fixture
def cache(written, tmp_path):
    """Return a copy of that folder."""
    return shutil.copytree(written, tmp_path / "cache")


def test_the_source_is_readable_and_kept(cache):
    (path,) = (cache / "kernels").glob("sgd_float32_*.py")
    assert "v3 = v1 + a0 * v0" in path.read_text()
    before = path.stat().st_mtime_ns
    assert not step_in_a_new_process(cache)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("content", ["", "raise SystemExit", "def kernel(*_): ...", "\udcff"])
def test_a_damaged_source_is_written_anew_and_not_run(cache, content):
    (path,) = (cache / "kernels").glob("sgd_float32_*.py")
    source = path.read_text()
    path.write_text(content, errors="surrogateescape")
    assert step_in_a_new_process(cache)
    assert path.read_text() == source


@pytest.mark.parametrize("name", ["functions", "numbers"])
def test_a_release_that_changes_what_kernels_call_compiles_them_anew(cache, tmp_path, name):
    release = tmp_path / "release"
    shutil.copytree(Path(schuss.__file__).parent, release / "schuss")
    assert not step_in_a_new_process(cache, release)
    with (release / f"schuss/engines/fused/{name}.py").open("a") as file:
        file.write("# changed\n")
    assert step_in_a_new_process(cache, release)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)


def taken_from_elsewhere(path: Path) -> None:
    """Put the sound code of one function where that of another belongs."""
    other = next(p for p in path.parent.glob("*.object") if p != path)
    path.write_bytes(other.read_bytes())


def opened_to_the_world(path: Path) -> None:
    path.chmod(0o666)


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "damage", [emptied, truncated, changed, taken_from_elsewhere, opened_to_the_world, removed]
)
def test_damaged_machine_code_is_compiled_anew_and_not_run(cache, damage):
    (sgd,) = (cache / "kernels").glob("sgd_float32_*.object")
    damage(sgd)
    assert step_in_a_new_process(cache)
    assert not step_in_a_new_process(cache)


def test_a_directory_that_cannot_be_written_does_not_matter(tmp_path):
    (tmp_path / "file").write_text("")
    step_in_a_new_process(tmp_path / "file")


def test_many_processes_may_begin_at_once(tmp_path):
    threads = [threading.Thread(target=step_in_a_new_process, args=[tmp_path]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    step_in_a_new_process(tmp_path)
    assert not list((tmp_path / "kernels").glob("*.tmp"))

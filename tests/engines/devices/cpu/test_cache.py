"""The files of kernels: when they are taken, and that nothing in their way matters."""

from __future__ import annotations

import ast
import ctypes
import importlib._bootstrap_external as bootstrap
import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import schuss
from schuss.engines.devices.cpu import cache, machine

TEXT = """
import numba
from schuss.engines.devices.cpu.numbers import load_float64, store_float64

@numba.cfunc("void(int64)")
def doubled(job):
    store_float64(job, 0, 2 * load_float64(job, 0))

@numba.cfunc("void(int64)")
def halved(job):
    store_float64(job, 0, 0.5 * load_float64(job, 0))
"""
NAMES = ["doubled", "halved"]
OTHER = TEXT.replace("2 *", "3 *")


@pytest.fixture(scope="module")
def compiled():
    return {text: machine.compiled(text, "<test>", NAMES) for text in (TEXT, OTHER)}


@pytest.fixture
def compiles(compiled, monkeypatch):
    """Return a list of what is compiled from now on; the results are there already."""
    asked = []

    def instead(text, filename, names):
        asked.append(text)
        return compiled[text]

    monkeypatch.setattr(machine, "compiled", instead)
    return asked


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCHUSS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def kept(folder, compiles):
    """Return the files of a kernel: its source and its machine code; beside them are another's."""
    cache.stored("other", OTHER, NAMES)
    source, _ = cache.stored("test", TEXT, NAMES)
    compiles.clear()
    return source, source.with_suffix(".object")


def listed(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def has_its_functions(text=TEXT):
    """Ask for a kernel, run both of its functions, and tell where its source is."""
    source, code = cache.stored("test", text, NAMES)
    number = ctypes.c_double(5.0)
    for address in machine.loaded([code[name] for name in NAMES]):
        ctypes.CFUNCTYPE(None, ctypes.c_int64)(address)(ctypes.addressof(number))
    assert number.value == 5.0  # twice, and half of that
    return source


def test_what_is_kept_is_not_compiled_again(kept, compiles, folder):
    before = [(path.name, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]
    assert has_its_functions() == kept[0]
    assert kept[0].read_text() == TEXT
    assert compiles == []
    assert before == [(path.name, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]


def test_nobody_else_may_write_what_is_kept_whatever_the_umask(folder, compiles):
    before = os.umask(0)
    try:
        has_its_functions()
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())}
    assert modes == {0}


def emptied(path):
    path.write_bytes(b"")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def changed(path):
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)


def taken_from_elsewhere(path):
    """Put the sound file of another kernel where this one's belongs."""
    other = next(p for p in path.parent.glob(f"other*{path.suffix}"))
    path.write_bytes(other.read_bytes())


def opened_to_the_world(path):
    path.chmod(0o606)


def opened_to_the_group(path):
    path.chmod(0o660)


def given_away(path):
    os.chown(path, 12345, 12345)


def linked(path):
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))


def made_a_pipe(path):
    """Put a pipe there with the sound content, whose other end stays open."""
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path, 0o600)
    os.write(os.open(path, os.O_RDWR), content)


def removed(path):
    path.unlink()


def made_an_idle_pipe(path):
    path.unlink()
    os.mkfifo(path, 0o600)


HARM = [
    *(emptied, truncated, changed, taken_from_elsewhere, opened_to_the_world),
    *(opened_to_the_group, linked, made_a_pipe, made_an_idle_pipe, removed),
    *([given_away] if os.geteuid() == 0 else []),
]


@pytest.mark.parametrize("harm", HARM)
def test_machine_code_that_is_damaged_or_not_ours_alone_is_compiled_anew(
    harm, kept, compiles, folder
):
    before = listed(folder)
    harm(kept[1])
    assert has_its_functions() == kept[0]
    assert compiles == [TEXT]
    has_its_functions()
    assert compiles == [TEXT]
    assert set(listed(folder)) - set(before) <= {"moved"}


@pytest.mark.parametrize("harm", HARM)
def test_a_source_that_is_damaged_or_not_ours_alone_is_written_anew(harm, kept, compiles):
    harm(kept[0])
    assert has_its_functions() == kept[0]
    assert kept[0].read_text() == TEXT
    assert not kept[0].is_symlink()
    assert kept[0].stat().st_uid == os.geteuid()
    assert kept[0].stat().st_mode & 0o777 == 0o600
    assert compiles == []


def test_no_module_beside_a_kernel_is_run(folder, tmp_path):
    source, _ = cache.stored("test", TEXT, NAMES)
    source.with_suffix(".object").unlink()
    harmful, ran = tmp_path / "harmful.py", tmp_path / "ran"
    harmful.write_text(f"open({str(ran)!r}, 'w')\n{TEXT}")
    planted = Path(importlib.util.cache_from_source(str(source)))
    planted.parent.mkdir()
    code = compile(harmful.read_text(), str(source), "exec")
    loader = importlib.util.spec_from_file_location("planted", source).loader
    about = source.stat()
    compiled = bootstrap._code_to_timestamp_pyc  # type: ignore[attr-defined]
    planted.write_bytes(compiled(code, int(about.st_mtime), about.st_size))
    assert loader.get_code("planted").co_consts == code.co_consts  # an import would run it
    has_its_functions()
    assert not ran.exists()


def file_for_the_cache(folder):
    folder.parent.write_text("")


def file_for_the_folder(folder):
    folder.parent.mkdir()
    folder.write_text("")


def link_to_nothing(folder):
    folder.parent.mkdir()
    folder.symlink_to("nothing")


def link_to_a_folder(folder):
    folder.parent.mkdir()
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")


def folder_of_a_group(folder):
    folder.mkdir(parents=True)
    folder.chmod(0o770)


def folder_of_everybody(folder):
    folder.mkdir(parents=True)
    folder.chmod(0o1777)


def folder_of_somebody_else(folder):
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, 12345, 12345)


@pytest.mark.parametrize(
    "hinder",
    [
        *(file_for_the_cache, file_for_the_folder, link_to_nothing, link_to_a_folder),
        *(folder_of_a_group, folder_of_everybody),
        *([folder_of_somebody_else] if os.geteuid() == 0 else []),
    ],
)
def test_where_no_file_can_be_kept_a_kernel_is_in_memory_alone(hinder, folder, compiles, tmp_path):
    hinder(folder)
    before = listed(tmp_path)
    assert has_its_functions() is None
    assert compiles == [TEXT]
    assert listed(tmp_path) == before


def test_a_place_where_nothing_can_be_made_does_not_matter(monkeypatch, compiles):
    monkeypatch.setenv("SCHUSS_CACHE_DIR", "/dev/null/cache")
    assert has_its_functions() is None
    monkeypatch.setenv("SCHUSS_CACHE_DIR", "/proc/self")
    assert has_its_functions() is None


def test_a_user_without_a_home_keeps_no_files(monkeypatch, compiles):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SCHUSS_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", home)
    assert has_its_functions() is None


@pytest.mark.parametrize("which", [0, 1])
def test_a_directory_in_the_way_of_a_file_does_not_matter(which, kept, compiles, folder):
    kept[which].unlink()
    (kept[which] / "inside").mkdir(parents=True)
    before = listed(folder)
    assert has_its_functions() == (kept[0] if which else None)
    assert compiles == ([TEXT] if which else [])
    assert listed(folder) == before


def test_a_disk_that_takes_no_more_keeps_no_part_of_a_file(folder, compiles):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        assert has_its_functions() is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert listed(folder) == []
    assert has_its_functions() is not None
    assert compiles == [TEXT, TEXT]


def test_what_is_kept_is_taken_where_nothing_can_be_written(kept, compiles, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert has_its_functions() == kept[0]
    assert compiles == []


@pytest.mark.parametrize(
    "path", machine.IMPORTED, ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_a_release_that_changes_what_kernels_call_compiles_them_anew(
    path, kept, compiles, tmp_path, monkeypatch
):
    release = Path(shutil.copy(path, tmp_path))
    files = [release if each == path else each for each in machine.IMPORTED]
    monkeypatch.setattr(machine, "IMPORTED", files)
    monkeypatch.setattr(machine, "target", machine.target.__wrapped__)
    has_its_functions()
    assert compiles == []
    with release.open("a") as file:
        file.write("# changed\n")
    has_its_functions()
    assert compiles == [TEXT]


def test_many_may_begin_at_once(folder, compiles):
    threads = [threading.Thread(target=has_its_functions) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    compiles.clear()
    has_its_functions()
    assert compiles == []
    assert len(listed(folder)) == 2


STEP = """
import sys
import schuss, torch
param = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
param.grad = torch.ones(2)
schuss.SGD([param], lr=0.5, fused=True).step()
print(param.tolist(), "numba" in sys.modules)
"""


def test_a_new_process_needs_no_compiler(tmp_path):
    def printed():
        environment = {"SCHUSS_CACHE_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
        command = [sys.executable, "-c", STEP]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert printed() == "[0.5, -2.5] True\n"
    assert printed() == "[0.5, -2.5] False\n"


def test_every_module_that_kernels_are_made_of_is_known():
    source = Path(str(schuss.__file__)).parent
    names = ("codecs", "functions", "halves", "numbers")
    pending = [source / "engines/devices/cpu" / f"{name}.py" for name in names]
    found: set[Path] = set()
    while pending:
        path = pending.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("schuss."):
                of = source.parent / str(node.module).replace(".", "/")
                within = [of / f"{alias.name}.py" for alias in node.names]
                pending += [each for each in (of.with_suffix(".py"), *within) if each.is_file()]
    assert found <= {Path(path) for path in machine.IMPORTED}

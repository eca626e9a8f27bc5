"""The files of kernels."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from schuss.engines.fused import machine
from schuss.engines.fused.machine import Code


def directory() -> Path:
    """Return where kernels are kept: `SCHUSS_CACHE_DIR`, else in the user's cache directory."""
    chosen = os.environ.get("SCHUSS_CACHE_DIR")
    if chosen:
        return Path(chosen) / "kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "schuss" / "kernels"


def stored(title: str, source: str, names: Sequence[str]) -> tuple[Path, dict[str, Code]]:
    """Return the file of a kernel's source, and its functions, compiled if they are not kept yet.

    Args:
        title: What the file's name begins with.
        source: The text of the module.
        names: Its functions.
    """
    digest = hashlib.sha256(f"{machine.target()}\n{source}".encode()).hexdigest()[:16]
    path = directory() / f"{title}_{digest}.py"
    if _kept(path) == source.encode():
        kept = {name: code for name in names if (code := _read(path, name)) is not None}
        if len(kept) == len(names):
            return path, kept
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, source.encode())
    except OSError:
        path = Path(tempfile.mkdtemp(prefix="schuss-")) / path.name
        _write(path, source.encode())
    made = machine.compiled(path, names)
    for name, code in made.items():
        _write_code(path, name, code)
    return path, made


def _object_path(source: Path, name: str) -> Path:
    return source.with_suffix(f".{name}.object")


def _write_code(source: Path, name: str, code: Code) -> None:
    content = code.symbol.encode() + b"\n" + code.object
    path = _object_path(source, name)
    _write(path, _digest(path, content) + b"\n" + content)


def _read(source: Path, name: str) -> Code | None:
    """Return the kept code of a function, or None if it is not there or damaged."""
    path = _object_path(source, name)
    digest, _, content = _kept(path).partition(b"\n")
    if digest != _digest(path, content):
        return None
    symbol, _, code = content.partition(b"\n")
    return Code(symbol.decode(), code)


def _digest(path: Path, content: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\n" + content).hexdigest().encode()


def _kept(path: Path) -> bytes:
    """Return what a file holds; nothing, if somebody else could have written it."""
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if hasattr(os, "getuid") and about.st_uid not in (os.getuid(), 0):
                return b""
            return b"" if about.st_mode & stat.S_IWOTH else file.read()
    except OSError:
        return b""


def _write(path: Path, content: bytes) -> None:
    """Write a file so that other processes see all of it or nothing."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)

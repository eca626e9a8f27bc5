"""The files of kernels: a source for people to read, and machine code to run.

They only save time. A kernel comes from a text in memory, or from a file that nobody else can
have written and that is what was written; where there is no such file, and where none can be kept,
the kernel is compiled anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from schuss.engines.devices.cpu import machine
from schuss.engines.devices.cpu.machine import Code

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
"""A link is refused, and a pipe does not wait for somebody to write to it."""


def directory() -> Path | None:
    """Return where kernels are kept: `SCHUSS_CACHE_DIR`, else in the user's cache directory."""
    chosen = os.environ.get("SCHUSS_CACHE_DIR")
    if chosen:
        return Path(chosen) / "kernels"
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        return None
    return caches / "schuss" / "kernels"


def stored(kind: str, text: str, names: Sequence[str]) -> tuple[Path | None, dict[str, Code]]:
    """Return the file of a source, if it can be kept, and its functions.

    They are compiled if they are not kept yet.

    Args:
        kind: The beginning of the names of its files.
        text: The source, a module.
        names: Its functions.
    """
    key = hashlib.sha256(f"{machine.target()}\n{text}".encode()).hexdigest()
    name = f"{kind}_{key[:16]}"
    folder = _folder()
    source = shown(name, text)
    path = folder / f"{name}.object" if folder else None
    code = _parsed(_kept(path), key) if path else {}
    if code.keys() != set(names):
        code = machine.compiled(text, str(source or f"<{name}>"), names)
        if path:
            _is_written(path, _printed(code, key))
    return source, code


def shown(name: str, text: str) -> Path | None:
    """Keep a source for people to read, and return its file, or None if it cannot be kept."""
    folder = _folder()
    if folder is None:
        return None
    path = folder / f"{name}.py"
    is_kept = _kept(path) == text.encode() or _is_written(path, text.encode())
    return path if is_kept else None


def _folder() -> Path | None:
    """Return the directory of the kernels, or None if there is none that only this user writes."""
    folder = directory()
    try:
        if folder is None:
            return None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
    except OSError:
        return None
    return folder if stat.S_ISDIR(about.st_mode) and _is_ours(about) else None


def _is_ours(about: os.stat_result) -> bool:
    """Tell whether nobody but this user, and root, can have written something."""
    if not hasattr(os, "geteuid"):
        return True  # Windows tells nothing of that here
    return about.st_uid in (os.geteuid(), 0) and not about.st_mode & _OTHERS_WRITE


def _kept(path: Path) -> bytes:
    """Return what a file holds; nothing, if somebody else could have written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError:
        return b""
    try:
        about = os.fstat(descriptor)
        if not (stat.S_ISREG(about.st_mode) and _is_ours(about)):
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _is_written(path: Path, content: bytes) -> bool:
    """Write a file so that others see all of it or nothing, and tell whether that could be done."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    except OSError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
    return True


def _printed(code: dict[str, Code], key: str) -> bytes:
    """Return functions as the content of a file, below a digest of all of it and of its key."""
    about = [[name, each.symbol, len(each.object)] for name, each in code.items()]
    content = json.dumps(about).encode() + b"\n" + b"".join(each.object for each in code.values())
    return _digest(content, key) + b"\n" + content


def _parsed(printed: bytes, key: str) -> dict[str, Code]:
    """Return functions from the content of a file; none, if it is damaged or of another key."""
    digest, _, content = printed.partition(b"\n")
    if digest != _digest(content, key):
        return {}
    about, _, objects = content.partition(b"\n")
    code = {}
    for name, symbol, length in json.loads(about):
        code[name], objects = Code(symbol, objects[:length]), objects[length:]
    return code


def _digest(content: bytes, key: str) -> bytes:
    return hashlib.sha256(key.encode() + content).hexdigest().encode()

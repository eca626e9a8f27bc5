"""Faults that are put into kernels, to see whether tests find them; runs on the interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from schuss.engines.devices.gpu import compiled, device
from schuss.engines.devices.gpu import functions_compiled as functions
from schuss.engines.devices.gpu.printing.module import kernel_source
from schuss.engines.devices.layout import KernelSource
from schuss.engines.kernels.kernel import kernel
from tests.engines.devices.gpu import cases


def found(old: str, new: str, comparison: str, *arguments: Any) -> str:
    """Put a fault into kernels, and return what a comparison says then: nothing if it is not found.

    Args:
        old: The right text.
        new: The wrong one.
        comparison: A function of `cases`.
        arguments: What it takes.
    """
    with _changed(old, new) as changed:
        try:
            getattr(cases, comparison)(*arguments)
        except Exception as error:  # noqa: BLE001  # whatever it is: it is told
            return f"{type(error).__name__}: {error}"
        finally:
            assert changed, f"no kernel has {old!r}"
    return ""


@contextmanager
def _changed(old: str, new: str) -> Iterator[list[str]]:
    """Print another text in all kernels, and let their functions have it.

    Yields:
        The texts that had the old one.
    """
    text = Path(functions.__file__).read_text(encoding="utf-8")
    changed: list[str] = []

    def changing(*arguments: Any) -> KernelSource:
        source = kernel_source(*arguments)
        if old in source.text:
            changed.append(source.text)
        return source._replace(text=source.text.replace(old, new))

    with pytest.MonkeyPatch.context() as patch:
        kernel.cache_clear()
        patch.setattr(compiled, "_made", {})
        patch.setattr(device, "kernel_source", changing)
        if old in text:
            changed.append(text)
            mutant = compiled._executed("<mutant>", text.replace(old, new))
            for key, value in mutant.items():
                if not key.startswith("__") and hasattr(functions, key):
                    patch.setattr(functions, key, value)
        yield changed
    kernel.cache_clear()

"""Faults that are put into kernels, to see whether tests find them; runs on the interpreter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from schuss.engines.devices.gpu import (
    codecs_compiled,
    coded_compiled,
    compiled,
    device,
    flash_compiled,
    floats_compiled,
    functions_compiled,
)
from schuss.engines.devices.gpu.printing.module import kernel_source
from schuss.engines.devices.layout import KernelSource
from schuss.engines.kernels.kernel import kernel
from tests.engines.devices.gpu import cases, coded_cases

MODULES = functions_compiled, coded_compiled, codecs_compiled, flash_compiled, floats_compiled
"""What kernels call."""


def found(old: str, new: str, comparison: str, *arguments: Any) -> str:
    """Put a fault into kernels, and return what a comparison says then: nothing if it is not found.

    Args:
        old: The right text.
        new: The wrong one.
        comparison: A function of `cases` or of `coded_cases`.
        arguments: What it takes.
    """
    with _changed(old, new) as changed:
        try:
            compare = getattr(cases, comparison, None) or getattr(coded_cases, comparison)
            compare(*arguments)
        except Exception as error:  # noqa: BLE001  # whatever it is: it is told
            return f"{type(error).__name__}: {error}"
        finally:
            assert changed, f"no kernel has {old!r}"
    return ""


def _take_the_places(mutant: Mapping[str, Any], patch: pytest.MonkeyPatch) -> None:
    """Put functions in the places of those with their names, wherever these were imported."""
    for module, (key, value) in itertools.product(MODULES, mutant.items()):
        if not key.startswith("__") and hasattr(module, key):
            patch.setattr(module, key, value)


@contextmanager
def _changed(old: str, new: str) -> Iterator[list[str]]:
    """Print another text in all kernels, and let their functions have it.

    Yields:
        The texts that had the old one.
    """
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
        for module in MODULES:
            text = Path(str(module.__file__)).read_text(encoding="utf-8")
            if old in text:
                changed.append(text)
                mutant = compiled._executed("<mutant>", text.replace(old, new))
                _take_the_places(mutant, patch)
        yield changed
    kernel.cache_clear()

"""Calls in processes of their own, in one of which Triton interprets, so that no other one does."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any


def compiling(module: str, function: str, *arguments: Any) -> Any:
    """Return what a function of a module of this directory returns, when Triton compiles."""
    return getattr(import_module(f"{__package__}.{module}"), function)(*arguments)


def interpreted(module: str, function: str, *arguments: Any) -> Any:
    """Return what a function of a module of this directory returns, when Triton interprets."""
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
    return getattr(import_module(f"{__package__}.{module}"), function)(*arguments)

"""Tells whether a Python can go through the trial, and what it lacks; imports nothing to do so."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

NEEDED = ("torch", "triton", "numba", "pytest")


def lacks(arguments: Sequence[str]) -> str:
    """Return what is missing for `make gpu` with these arguments, or an empty text."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return f"has no {' and no '.join(missing)}"
    if "--rehearse" in arguments:
        return ""
    import torch

    return "" if torch.cuda.is_available() else f"has torch {torch.__version__}, which sees no GPU"


if __name__ == "__main__":
    told = lacks(sys.argv[1:])
    if told:
        sys.exit(f"{sys.executable} {told}")

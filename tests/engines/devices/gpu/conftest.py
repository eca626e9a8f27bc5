"""Processes in which kernels for a GPU are interpreted, or compiled for one that is not there."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.engines.child import Child
from tests.engines.devices.gpu.remote import compiling, interpreted

# Triton keeps what it compiles beside our kernels, not among the user's.
os.environ.setdefault("TRITON_CACHE_DIR", str(Path(os.environ["SCHUSS_CACHE_DIR"]) / "triton"))


@pytest.fixture(scope="session")
def interpreter() -> Iterator[Callable[..., Any]]:
    process = Child()
    yield partial(process.call, interpreted)
    process.close()


@pytest.fixture(scope="module")
def compiler() -> Iterator[Callable[..., Any]]:
    process = Child()
    yield partial(process.call, compiling)
    process.close()

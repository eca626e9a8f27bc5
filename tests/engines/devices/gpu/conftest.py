"""A process in which kernels for a GPU are interpreted."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.engines.child import Child
from tests.engines.devices.gpu.remote import interpreted


@pytest.fixture(scope="session")
def interpreter() -> Iterator[Callable[..., Any]]:
    process = Child()
    yield partial(process.call, interpreted)
    process.close()

"""A process in which kernels for a GPU are interpreted."""

from collections.abc import Iterator

import pytest

from tests.engines.child import Child


@pytest.fixture(scope="session")
def interpreter() -> Iterator[Child]:
    process = Child()
    yield process
    process.close()

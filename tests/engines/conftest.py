"""Fixtures of tests that attack the engines."""

from collections.abc import Iterator

import pytest

from tests.engines.child import Child


@pytest.fixture(scope="session")
def child() -> Iterator[Child]:
    """Give a process of its own to what may crash."""
    process = Child()
    yield process
    process.close()

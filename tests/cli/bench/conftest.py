"""A workload that takes no time, and threads as they were before."""

from collections.abc import Iterator

import pytest
import torch

from schuss.cli.bench.workloads import WORKLOADS, Workload

SMALL = Workload("small", "two small tensors", ((3, 4), (5,)))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Workload:
    """Return a workload that the command line knows, too."""
    monkeypatch.setitem(WORKLOADS, SMALL.name, SMALL)
    return SMALL


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Undo what `--threads` does."""
    yield
    torch.set_num_threads(1)

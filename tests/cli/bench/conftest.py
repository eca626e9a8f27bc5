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
def _one_thread() -> Iterator[None]:
    """Compute in one thread, and undo what `--threads` does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

"""What every test starts from."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from tests.covers import EXHAUSTIVE

# As many tests run at once as there are cores; those that are about threads ask for them.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

# Kernels are kept from run to run, and shared by all processes, but not among the user's.
os.environ.setdefault("SCHUSS_CACHE_DIR", str(Path(__file__).parents[1] / "build" / "cache"))

# A shared machine makes deadlines flaky. The gate has to give the same answer twice, so it draws
# the same examples in every run; `make exhaustive` draws new ones.
hypothesis.settings.register_profile(
    "schuss",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=not EXHAUSTIVE,
)
hypothesis.settings.load_profile("schuss")


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Give each test the same random numbers, alone or after others."""
    # torch.manual_seed notes where it was called, for each kind of device that is not in use yet.
    torch.default_generator.manual_seed(0)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(0)


@pytest.fixture
def without_compiler() -> Iterator[None]:
    """Interpret kernels: for tests of something else, whose few numbers are on kernels too."""
    from tests.conformance.trajectories import without_compiler

    with without_compiler():
        yield

"""What every test starts from."""

import os
from pathlib import Path

import hypothesis
import pytest
import torch

# Kernels are kept from run to run, but not among the user's.
os.environ.setdefault("SCHUSS_CACHE_DIR", str(Path(__file__).parents[1] / "build" / "cache"))

# A shared machine makes deadlines flaky, and a gate has to give the same answer twice.
hypothesis.settings.register_profile("schuss", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("schuss")


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Give each test the same random numbers, alone or after others."""
    torch.manual_seed(0)

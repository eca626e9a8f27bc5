"""What kernels for a GPU look like: of a rule in one pass, and of one in two.

To write a golden file anew, remove it and run the tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import schuss
from tests.engines.devices.gpu.stubbed import stubbed_gpu

GOLDENS = Path(__file__).parent / "goldens"


@pytest.mark.parametrize(("name", "dtype"), [("adamw", torch.float32), ("lamb", torch.bfloat16)])
def test_a_kernel_is_what_it_was(name, dtype):
    param = nn.Parameter(torch.zeros(3, dtype=dtype))
    with stubbed_gpu():
        (cohort,) = schuss.create_optimizer(name, [param]).explain().cohorts
    kind = str(dtype).removeprefix("torch.")
    golden = GOLDENS / f"{name}_{kind}.txt"
    if not golden.exists():
        golden.write_text(str(cohort.kernel))
        pytest.fail(f"there was no {golden.name}; it is written now: read it")
    assert cohort.kernel == golden.read_text()

"""What kernels for a GPU look like: of a rule in one pass, of one in two, and with codes.

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


@pytest.mark.parametrize(
    ("name", "dtype", "storage"),
    [
        ("adamw", torch.float32, None),
        ("adamw", torch.float32, "4bit"),
        ("lamb", torch.bfloat16, None),
    ],
)
def test_a_kernel_is_what_it_was(name, dtype, storage):
    param = nn.Parameter(torch.zeros(4096, dtype=dtype))
    with stubbed_gpu():
        optimizer = schuss.create_optimizer(name, [param], state_storage=storage)
        (cohort,) = optimizer.explain().cohorts
    kind = f"{storage or ''}_{dtype}".replace("torch.", "").strip("_")
    golden = GOLDENS / f"{name}_{kind}.txt"
    if not golden.exists():
        golden.write_text(str(cohort.kernel))
        pytest.fail(f"there was no {golden.name}; it is written now: read it")
    assert cohort.kernel == golden.read_text()

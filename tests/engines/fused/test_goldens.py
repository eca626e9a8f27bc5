"""What kernels look like: those of AdamW, and of a rule in two passes.

To write a golden file anew, remove it and run the tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import schuss
from schuss import Optimizer
from tests.conformance.strangers import Ruled, trusting

GOLDENS = Path(__file__).parent / "goldens"


def adamw(param: nn.Parameter) -> Optimizer:
    return schuss.AdamW([param])


def lamb(param: nn.Parameter) -> Optimizer:
    return Ruled([param], trusting)


@pytest.mark.parametrize("make", [adamw, lamb])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_kernel_is_what_it_was(make, dtype):
    param = nn.Parameter(torch.zeros(3, dtype=getattr(torch, dtype)))
    (cohort,) = make(param).explain().cohorts
    golden = GOLDENS / f"{make.__name__}_{dtype}.txt"
    if not golden.exists():
        golden.write_text(str(cohort.kernel))
        pytest.fail(f"there was no {golden.name}; it is written now: read it")
    assert cohort.kernel == golden.read_text()

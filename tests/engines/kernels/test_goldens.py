"""What kernels look like: of AdamW, of a rule in two passes, and of one of rows and columns.

To write a golden file anew, remove it and run the tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import schuss
from schuss import Optimizer
from tests.conformance.matrices import factoring
from tests.conformance.strangers import Ruled, trusting

GOLDENS = Path(__file__).parent / "goldens"


def adamw(param: nn.Parameter) -> Optimizer:
    return schuss.AdamW([param])


def lamb(param: nn.Parameter) -> Optimizer:
    return Ruled([param], trusting)


def factored(param: nn.Parameter) -> Optimizer:
    return Ruled([param], factoring)


@pytest.mark.parametrize("make", [adamw, lamb, factored])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_kernel_is_what_it_was(make, dtype):
    shape = (3, 2) if make is factored else (3,)
    param = nn.Parameter(torch.zeros(shape, dtype=getattr(torch, dtype)))
    (cohort,) = make(param).explain().cohorts
    golden = GOLDENS / f"{make.__name__}_{dtype}.txt"
    if not golden.exists():
        golden.write_text(str(cohort.kernel))
        pytest.fail(f"there was no {golden.name}; it is written now: read it")
    assert cohort.kernel == golden.read_text()

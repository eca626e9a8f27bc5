"""Kernels for a GPU do what the loop does; Triton's interpreter runs them here."""

from __future__ import annotations

import itertools

import pytest
import torch

import schuss
from schuss import Optimizer
from tests.algorithms import TRACED
from tests.conformance.strangers import ELEMENTWISE, REDUCING
from tests.conformance.trajectories import SLOW
from tests.covers import EXHAUSTIVE, in_turn, some_of_each
from tests.engines.devices.gpu.options import OPTIONS, TRANSFORMED, fits

ALL = {name: schuss.list_optimizers(name)[0].cls for name in TRACED if name not in SLOW}
WITH_TRANSFORMS = ("adamw", "dadaptadam", "lamb", "novograd", "radam", "sgd")
"""Rules of every kind. What a transform does is the same around each, so that these are enough."""

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64)


def can_be(name: str, dtype: torch.dtype, option: str) -> bool:
    """Tell whether a combination makes sense."""
    if not fits(option, dtype):
        return False
    if option == TRANSFORMED and ALL[name].step_param is not Optimizer.step_param:
        return False  # there is no update that could be changed
    return EXHAUSTIVE or "transforms" not in OPTIONS[option] or name in WITH_TRANSFORMS


def ways_of(name: str) -> list[tuple[torch.dtype, str]]:
    """Return the precisions and options with which an optimizer may be compared."""
    return [way for way in itertools.product(DTYPES, OPTIONS) if can_be(name, *way)]


@pytest.mark.parametrize(
    ("name", "dtype", "option"), some_of_each({name: ways_of(name) for name in ALL}, 2), ids=str
)
def test_a_kernel_agrees_with_the_loop(name, dtype, option, interpreter):
    interpreter("cases", "agrees", name, dtype, option)


@pytest.mark.parametrize(
    ("rule", "dtype"),
    in_turn([*ELEMENTWISE, *REDUCING], (torch.float64, torch.float32)),
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_a_kernel_of_a_stranger_s_rule_agrees_with_the_loop(rule, dtype, interpreter):
    interpreter("cases", "takes", rule, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_kernel_draws_the_numbers_of_a_processor(dtype, interpreter):
    interpreter("cases", "draws_as_a_processor", dtype)

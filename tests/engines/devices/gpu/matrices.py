"""Optimizers of rows and columns on Triton's interpreter; runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import schuss
from schuss import GradientNoise
from tests.conformance.matrices import rows_and_columns, with_state_from_the_start
from tests.conformance.strangers import Ruled
from tests.conformance.trajectories import TOLERANCE, Training, distance, trajectory
from tests.engines.devices.gpu.interpreted import on_interpreter

SHAPES = ((5, 3), (9, 32), (1, 18), (9, 1), (1, 1), (2, 3, 3, 3), (7,))
"""Among them: tiles beside and below one another, most of which are full; small matrices that share
a tile; one row, one column, one number."""

STEPS = 3


def agrees(name: str, dtype: torch.dtype, options: dict[str, Any]) -> None:
    """Compare an optimizer with itself on the loop.

    Raises:
        AssertionError: They parted.
    """
    training = Training(
        steps=STEPS,
        dtype=dtype,
        second_group={"lr": 1e-2},
        saved_after=STEPS - 1,
        shapes=[shape for shape in SHAPES if name != "sm3" or len(shape) <= 2],
    )
    create = partial(schuss.create_optimizer, name, lr=3e-2, **options)
    expected = trajectory(partial(create, foreach=False), training)
    with on_interpreter():
        found = trajectory(partial(create, fused=True), training)
    apart = distance(found, expected)
    assert apart <= TOLERANCE[dtype], f"{name} in {dtype} is {apart} from the loop"


def takes(rule: Callable[..., None]) -> None:
    """Compare a stranger's rule with itself on the loop.

    Raises:
        AssertionError: They parted.
    """
    start = rows_and_columns if rule is with_state_from_the_start else lambda state, param: None
    training = Training(steps=STEPS, dtype=torch.float64, shapes=(*SHAPES, ()))
    expected = trajectory(partial(Ruled, rule=rule, start=start, foreach=False), training)
    with on_interpreter():
        found = trajectory(partial(Ruled, rule=rule, start=start, fused=True), training)
    apart = distance(found, expected)
    assert apart <= TOLERANCE[torch.float64], f"{rule.__name__} is {apart} from the loop"


def draws_the_same() -> None:
    """Compare an optimizer with noise in its gradients with the kernel of the CPU.

    Raises:
        AssertionError: They parted.
    """
    training = Training(steps=2, dtype=torch.float64, shapes=((9, 18), (2, 3, 3, 3), (1, 9)))
    create = partial(
        schuss.create_optimizer, "adafactor", lr=3e-2, transforms=[GradientNoise(1.0)], fused=True
    )
    torch.manual_seed(0)
    expected = trajectory(create, training)
    torch.manual_seed(0)
    with on_interpreter():
        found = trajectory(create, training)
    apart = distance(found, expected)
    # The cosine of a draw comes from another library, which is off by a rounding.
    assert apart <= 1e-13, f"with noise it is {apart} from the kernel of the CPU"

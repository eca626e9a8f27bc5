"""Optimizers on Triton's interpreter and on the loop; runs in a process of its own."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

import schuss
from tests.conformance.trajectories import TOLERANCE, Training, distance, trajectory
from tests.engines.devices.gpu.interpreted import on_interpreter

SHAPES = ((5, 3), (7,), (), (2, 3, 4, 4), (1, 1), (300,), (0, 3))
"""Among them one of several chunks."""


def agrees(name: str, dtype: torch.dtype, options: dict[str, Any], steps: int = 6) -> None:
    """Compare an optimizer with itself on the loop.

    Raises:
        AssertionError: They parted.
    """
    training = Training(
        steps=steps,
        dtype=dtype,
        second_group={"lr": 1e-2} if "lr" in options else {},
        scheduled=True,
        saved_after=steps // 2,
        shapes=SHAPES,
    )
    create = partial(schuss.create_optimizer, name, **options)
    expected = trajectory(partial(create, foreach=False), training)
    with on_interpreter(block=16):
        found = trajectory(partial(create, fused=True), training)
    apart = distance(found, expected)
    assert apart <= TOLERANCE[dtype], f"{name} in {dtype} is {apart} from the loop"

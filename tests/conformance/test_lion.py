"""The package of Lion that the field uses, lion-pytorch 0.2.5."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
from lion_pytorch import Lion

import schuss
from tests.conformance.trajectories import Training, distance, trajectory


@pytest.mark.parametrize("engine", ["loop", "foreach", "fused"])
@pytest.mark.parametrize(
    ("betas", "weight_decay"),
    list(itertools.product([(0.9, 0.99), (0.5, 0.75), (0.95, 0.98)], [0.0, 0.3])),
)
def test_it_moves_as_the_package(betas, weight_decay, engine):
    setting = {"lr": 3e-2, "betas": betas, "weight_decay": weight_decay}
    options = {"fused": False} if engine == "loop" else {engine: True}
    ours, theirs = partial(schuss.Lion, **setting, **options), partial(Lion, **setting)
    training = Training(second_group={"lr": 1e-2}, scheduled=True)
    # Rounding errors of float64 over 100 steps. A sign that fell the other way would be off by lr.
    assert distance(trajectory(ours, training), trajectory(theirs, training)) <= 1e-12

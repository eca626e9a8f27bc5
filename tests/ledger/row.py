"""A row of the ledger: an algorithm, what it was run against, and how far apart they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

import schuss
from tests.conformance.trajectories import ON, Create, Training, trajectory

EVERYTHING = Training(second_group={"lr": 1e-2}, scheduled=True)
"""Two groups, a schedule, a parameter that comes late, one whose gradient is missing at times."""
STEADY = Training(steady=True, scheduled=True)
"""One group, and gradients for all: for references that count steps once for all parameters."""


@dataclass(frozen=True)
class Row:
    """An algorithm, and its reference.

    Attributes:
        algorithm: Name in the registry.
        reference: Creates the other implementation from parameter groups.
        source: What the reference is: the class in `package`, or the algorithm in the paper.
        ours: Hyper-parameters of ours.
        package: The distribution that the reference comes from; None if it is written down from
            the paper, in NumPy.
        options: What the hyper-parameters choose, in words.
        training: Along which gradients.
        tolerance: Largest distance in float64, relative to the distance travelled.
        tolerance32: The same in float32.
        deviation: What ours does otherwise on purpose, or what loosens the tolerance, and why.
    """

    algorithm: str
    reference: Create
    source: str
    ours: Mapping[str, Any] = field(default_factory=dict)
    package: str | None = None
    options: str = "defaults"
    training: Training = EVERYTHING
    tolerance: float = 1e-10
    # Rounding errors of 100 steps of 1.2e-7, multiplied where a rule divides by what is small.
    tolerance32: float = 1e-4
    deviation: str = ""
    _expected: dict[torch.dtype, list[Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __str__(self) -> str:
        """Name the row."""
        return f"{self.algorithm}, {self.origin}, {self.options}"

    @property
    def origin(self) -> str:
        """The reference and its version."""
        if self.package is None:
            return self.source
        return f"{self.source} of {self.package} {version(self.package).split('+')[0]}"

    def apart(self, engine: str, dtype: torch.dtype = torch.float64) -> float:
        """Return the largest distance between the two trajectories, relative to their length.

        Args:
            engine: The engine that ours is asked to run on, or another name for none of these.
            dtype: The precision of parameters and gradients.
        """
        training = replace(self.training, dtype=dtype)
        hyperparameters = {**self.ours, **ON.get(engine, {})}
        ours = partial(schuss.create_optimizer, self.algorithm, **hyperparameters)
        if dtype not in self._expected:
            self._expected[dtype] = trajectory(self.reference, training)
        expected = self._expected[dtype]
        pairs = zip(trajectory(ours, training), expected, strict=True)
        apart = max(float((a - b).double().norm()) for a, b in pairs)
        return apart / float((expected[-1] - expected[0]).double().norm())

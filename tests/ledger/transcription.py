"""Algorithms written down from their papers in NumPy, where there is no package to run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tests.conformance.trajectories import Create

Array = npt.NDArray[np.float64]

PaperStep = Callable[[dict[str, Any], Array, Array, int, dict[str, Any]], Array]
"""One step, called as `step(state, x, g, t, hyperparameters)` with t from 1; returns the new x."""


class _Transcription(torch.optim.Optimizer):
    """Hands every parameter to a step of NumPy, in float64 whatever the parameter's dtype."""

    def __init__(self, params: Any, step: PaperStep, **hyperparameters: Any) -> None:
        super().__init__(params, hyperparameters)
        self.paper_step = step

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # it takes no closure
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                state["t"] = state.get("t", 0) + 1
                x, g = param.double().numpy().copy(), param.grad.double().numpy().copy()
                moved = self.paper_step(state, x, g, state["t"], group)
                param.copy_(torch.as_tensor(np.asarray(moved)))


def transcribed(step: PaperStep, **hyperparameters: Any) -> Create:
    """Return what creates an optimizer of parameter groups that makes such steps.

    Args:
        step: One step of the algorithm, for one parameter.
        **hyperparameters: Defaults of the groups, `lr` among them.
    """
    return partial(_Transcription, step=step, **hyperparameters)

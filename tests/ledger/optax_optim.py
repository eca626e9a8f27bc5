"""The optimizers of optax, which are functions of arrays, behind the interface of torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import optax
import torch

from tests.conformance.trajectories import Create

jax.config.update("jax_enable_x64", True)

Make = Callable[[float], optax.GradientTransformation]
"""Makes an optimizer of optax of a learning rate."""


class _Optax(torch.optim.Optimizer):
    """Hands every parameter to optax by itself, in float64 whatever the parameter's dtype."""

    def __init__(self, params: Any, make: Make, lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self._make = cache(make)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # it takes no closure
        for group in self.param_groups:
            optimizer = self._make(group["lr"])
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                x, g = (jax.numpy.array(t.double().numpy()) for t in (param, param.grad))
                if not state:
                    state["optax"] = optimizer.init(x)
                update, state["optax"] = optimizer.update(g, state["optax"], x)
                param.copy_(torch.tensor(jax.device_get(x + update)))


def of_optax(make: Callable[..., Any], lr: float, **hyperparameters: Any) -> Create:
    """Return what creates an optimizer of parameter groups that steps as one of optax does.

    Args:
        make: The function of optax, whose first argument is the learning rate.
        lr: Learning rate, for groups without their own.
        **hyperparameters: Its other arguments.
    """
    return partial(_Optax, make=partial(make, **hyperparameters), lr=lr)

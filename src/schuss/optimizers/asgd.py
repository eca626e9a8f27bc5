r"""ASGD: gradient descent, and the mean of where it was.

Polyak and Juditsky, *Acceleration of Stochastic Approximation by Averaging*, 1992; with the rates
of Bottou and of `torch.optim`.
<https://dl.acm.org/doi/10.1137/0330046>

$$
\begin{aligned}
\gamma_t &= \gamma / \bigl(1 + \lambda \gamma\, (t - 1)\bigr)^\alpha \\
\theta_t &= \theta_{t-1} - \gamma_t\, (g_t + \lambda\, \theta_{t-1}) \\
\bar\theta_t &= \bar\theta_{t-1} + (\theta_t - \bar\theta_{t-1}) / \max(1,\, t - 1 - t_0)
\end{aligned}
$$

The mean over all points from step $t_0$ on converges as fast as any method can, though the points
themselves do not settle. It is the state `ax` of each parameter; the parameters are the last point.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import decay, hyper, rate
from schuss.domains import at_least
from schuss.optimizer import Optimizer
from schuss.scalar_math import larger
from schuss.transforms.weight_decay import Decay


class ASGD(Optimizer):
    """ASGD. Keeps one buffer per parameter.

    It extends the step, to take the new point into the mean: transforms of the update do not apply.
    """

    lr: float = rate("that of the first step", default=1e-2)
    lambd: float = hyper(
        "λ", "decay of the parameter and of the learning rate", at_least(0), default=1e-4
    )
    alpha: float = hyper(
        "α", "exponent of the decay of the learning rate", at_least(0), default=0.75
    )
    t0: float = hyper(
        "", "step from which on the mean is taken", at_least(0, unbounded=True), default=1e6
    )
    weight_decay: Decay = decay(default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean, of which the first point is all."""
        lr = super().get_lr(state, group)
        state["step"] = 0
        state["eta"] = lr.clone() if isinstance(lr, Tensor) else lr
        state["mu"] = 1.0
        state["ax"] = torch.zeros_like(param, dtype=wide_dtype(param))

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate, which decays."""
        return self._decayed(state["step"] - 1, super().get_lr(state, group), group)

    def _decayed(self, steps: int, lr: float | Tensor, group: Group) -> float | Tensor:
        """Return the learning rate after some steps."""
        decayed: float | Tensor = lr / (1 + group["lambd"] * lr * steps) ** group["alpha"]
        return decayed

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient, with the decay."""
        return grad.add(param, alpha=group["lambd"])

    def step_param(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Take one step, and then the point into the mean."""
        super().step_param(state, group, grad, param)
        step = state["step"]
        state["ax"].lerp_(param, state["mu"])
        state["mu"] = 1 / larger(step - group["t0"], 1)
        # For checkpoints that go to torch.optim, which takes its next step with this rate.
        state["eta"] = self._decayed(step, super().get_lr(state, group), group)

"""The base classes of optimizers that train one sequence of weights and evaluate another."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import hyper
from schuss.domains import NUMBER, at_least, whole
from schuss.optimizer import Optimizer


class PrimalAveraging(Optimizer):
    r"""Base class of optimizers with three sequences of weights.

    Defazio et al., *Smoothing DiLoCo with Primal Averaging for Faster Training of LLMs*, 2025,
    section 3. <https://arxiv.org/abs/2512.17131>

    $$
    \begin{aligned}
    d_t &= \text{the direction at } y_t \\
    z_{t+1} &= z_t - \gamma_t d_t \\
    x_{t+1} &= (1 - c_t)\, x_t + c_t z_{t+1} \\
    y_{t+1} &= (1 - \beta)\, z_{t+1} + \beta\, x_{t+1}
    \end{aligned}
    $$

    The parameters are $y$, where gradients are taken. Evaluate with $x$, in `with
    optimizer.evaluating():`. Two of the three are kept, because the third follows. A subclass
    overrides `direction`, `share` for $c$ and `interpolation` for $\beta$. A decay object acts on
    $y$.
    """

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start z where the parameter y is; x, which follows from both, starts there too."""
        state["step"] = 0
        state["z"] = param.detach().clone()

    def direction(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the direction in which z moves; override it with the algorithm."""
        raise NotImplementedError

    def decayed(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Let y decay, or return the gradient with the decay added; override it for another one."""
        return self.weight_decay(param, grad, group)

    def share(self, state: State, group: Group, lr: float | Tensor) -> Any:
        """Return c, the share of the new point in the mean; override it."""
        raise NotImplementedError

    def interpolation(self, group: Group) -> float:
        """Return β, the share of the mean x in y, which is above 0; override it."""
        raise NotImplementedError

    def step_param(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Take one step: move z along the direction, and y with z and the mean x."""
        state["step"] += 1
        lr = self.get_lr(state, group)
        grad = self.decayed(state, {**group, "lr": lr}, grad, param)
        d = self.direction(state, group, grad, param)
        d = self.weight_decay.in_update(d, param, group)
        c, beta, z = self.share(state, group, lr), self.interpolation(group), state["z"]
        param.add_((z - param) * c).add_(d * (lr * (beta * (1 - c) - 1)))
        z.sub_(d * lr)

    def evaluated(self, state: State, group: Group, param: Tensor) -> Tensor:
        """Return the mean x, computed from y and z."""
        z: Tensor = state["z"]
        return param + (z.to(param.dtype) - param) * (1 - 1 / self.interpolation(group))


class ScheduleFree(PrimalAveraging):
    r"""Base class of the schedule-free optimizers.

    Defazio et al., *The Road Less Scheduled*, 2024, Algorithm 1. <https://arxiv.org/abs/2405.15682>

    $$
    c_t = w_t \Big/ \sum_{i \le t} w_i, \qquad w_t = t^r \max_{i \le t} \gamma_i^p
    $$
    """

    warmup_steps: int = hyper(
        "", "number of steps in which the learning rate rises", whole(0), default=0, kw_only=True
    )
    r: float = hyper(
        "r", "exponent of the step in the weight of a point", NUMBER, default=0.0, kw_only=True
    )
    weight_lr_power: float = hyper(
        "p",
        "exponent of the learning rate in the weight of a point",
        at_least(0),
        default=2.0,
        kw_only=True,
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start z, and at zero the count, the sum of the weights w, and the largest rate."""
        super().init_state(state, group, param)
        state["lr_max"] = 0.0
        state["weight_sum"] = 0.0

    def share(self, state: State, group: Group, lr: float | Tensor) -> Any:
        """Return c, the weight w of the new point over the sum of all weights."""
        # Without an `if`, because these are tensors while torch.compile traces.
        state["lr_max"] = state["lr_max"] + (lr - state["lr_max"]) * (lr > state["lr_max"])
        weight = state["step"] ** group["r"] * state["lr_max"] ** group["weight_lr_power"]
        state["weight_sum"] = state["weight_sum"] + weight
        return weight / (state["weight_sum"] + (state["weight_sum"] == 0))

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate, which rises in a line over the first `warmup_steps` steps."""
        lr, warmup = super().get_lr(state, group), group["warmup_steps"]
        if warmup:
            share = state["step"] / warmup
            lr = lr * (share + (1 - share) * (share > 1))
        return lr

    def interpolation(self, group: Group) -> float:
        """Return β, the share of the mean x in y: the first of `betas`."""
        beta: float = group["betas"][0]
        return beta

"""The base classes of optimizers that train one sequence of weights and evaluate another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import NUMBER, Domains, at_least, whole
from schuss.optimizer import Optimizer
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import decay_in_update

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


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
    overrides `direction`, `share` for $c$ and `momentum` for $\beta$. A decay object acts on $y$.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        defaults: Hyper-parameters by name, among them `lr`. Not changed.
        weight_decay: Coefficient λ, at least 0, of decay within the direction, or a decay object.
        **options: See `schuss.Options`.
    """

    def __init__(
        self,
        params: ParamsT,
        defaults: Mapping[str, Any],
        weight_decay: float | WeightDecay,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, defaults, weight_decay=decay_in_update(weight_decay), **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the other sequences where the parameter is."""
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

    def momentum(self, group: Group) -> float:
        """Return β, which is above 0; override it."""
        raise NotImplementedError

    def step_param(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Take one step with all three sequences."""
        state["step"] += 1
        lr = self.get_lr(state, group)
        grad = self.decayed(state, {**group, "lr": lr}, grad, param)
        d = self.direction(state, group, grad, param)
        d = self.weight_decay.in_update(d, param, group)
        c, beta, z = self.share(state, group, lr), self.momentum(group), state["z"]
        param.add_((z - param) * c).add_(d * (lr * (beta * (1 - c) - 1)))
        z.sub_(d * lr)

    def evaluated(self, state: State, group: Group, param: Tensor) -> Tensor:
        """Return x, which follows from y and z."""
        z: Tensor = state["z"]
        return param + (z.to(param.dtype) - param) * (1 - 1 / self.momentum(group))


class ScheduleFree(PrimalAveraging):
    r"""Base class of the schedule-free optimizers.

    Defazio et al., *The Road Less Scheduled*, 2024, Algorithm 1. <https://arxiv.org/abs/2405.15682>

    $$
    c_t = w_t \Big/ \sum_{i \le t} w_i, \qquad w_t = t^r \max_{i \le t} \gamma_i^p
    $$

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        defaults: Further hyper-parameters by name, among them `lr`. Not changed.
        weight_decay: Coefficient λ, at least 0, of decay within the direction, or a decay object.
        warmup_steps: Number of steps in which the learning rate rises, at least 0.
        r: Exponent r of the step in the weight of a point.
        weight_lr_power: Exponent p of the learning rate in the weight of a point, at least 0.
        **options: See `schuss.Options`.
    """

    domains = Domains(warmup_steps=whole(0), r=NUMBER, weight_lr_power=at_least(0))

    def __init__(
        self,
        params: ParamsT,
        defaults: Mapping[str, Any],
        weight_decay: float | WeightDecay,
        warmup_steps: int,
        r: float,
        weight_lr_power: float,
        **options: Unpack[Options],
    ) -> None:
        own = {"warmup_steps": warmup_steps, "r": r, "weight_lr_power": weight_lr_power}
        super().__init__(params, {**defaults, **own}, weight_decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the sum of weights too."""
        super().init_state(state, group, param)
        state["lr_max"] = 0.0
        state["weight_sum"] = 0.0

    def share(self, state: State, group: Group, lr: float | Tensor) -> Any:
        """Return the weight of the new point over the sum of all."""
        # Without an `if`, because these are tensors while torch.compile traces.
        state["lr_max"] = state["lr_max"] + (lr - state["lr_max"]) * (lr > state["lr_max"])
        weight = state["step"] ** group["r"] * state["lr_max"] ** group["weight_lr_power"]
        state["weight_sum"] = state["weight_sum"] + weight
        return weight / (state["weight_sum"] + (state["weight_sum"] == 0))

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate, which rises in the beginning."""
        lr, warmup = super().get_lr(state, group), group["warmup_steps"]
        if warmup:
            share = state["step"] / warmup
            lr = lr * (share + (1 - share) * (share > 1))
        return lr

    def momentum(self, group: Group) -> float:
        """Return β."""
        beta: float = group["betas"][0]
        return beta

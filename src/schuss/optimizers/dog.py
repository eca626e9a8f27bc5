r"""DoG: distance over gradients, without a learning rate.

Ivgi, Hinder and Carmon, *DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule*,
2023, equation 3.
<https://arxiv.org/abs/2302.12022>

$$
\begin{aligned}
\bar r_t &= \max\bigl(\bar r_{t-1},\; \lVert \theta_{t-1} - \theta_0 \rVert_2\bigr), \qquad
    \bar r_1 = r_\epsilon (1 + \lVert \theta_0 \rVert_2) \\
G_t &= G_{t-1} + \lVert g_t \rVert_2^2, \qquad G_0 = \epsilon \\
\theta_t &= \theta_{t-1} - \gamma\, \frac{\bar r_t}{\sqrt{G_t}}\, g_t
\end{aligned}
$$

The best learning rate of gradient descent is the distance from the first weights to the solution
over the root of the sum of squared gradients. This distance is not known. The largest distance
$\bar r_t$ from the first weights so far is known, and is nearly as good. Norms are over all
parameters of a group; `LDoG` takes them for each parameter. The factor $\gamma$ stays at 1. The
authors recommend to evaluate a mean of the weights: `transforms=[EMA()]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate
from schuss.domains import WRITTEN, Domains, above, at_least, whole
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class DoG(Optimizer):
    """DoG. Keeps one buffer per parameter."""

    lr: float = rate("factor; the paper's is 1", default=1.0)
    reps_rel: float = hyper(
        "",
        "length of the first step, as a share of 1 + the norm of the parameters",
        above(0),
        default=1e-6,
    )
    weight_decay: Decay = decay(default=0.0)
    eps: float = hyper(
        "ε", "stabilizer, of the sum of squares", at_least(0), default=1e-8, kw_only=True
    )

    domains = Domains(k=whole(0), distance=WRITTEN, squares=WRITTEN, rate=WRITTEN)

    def group_values(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with the estimates, which stay 0 until the first step."""
        return {**values, "k": 0, "distance": 0.0, "squares": 0.0, "rate": 0.0}

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Remember where the parameter is."""
        state["x0"] = param.detach().clone()

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return the squares of the distance, of the parameter and of the gradient."""
        coefficient = group["weight_decay"]
        if coefficient and not group["decoupled_weight_decay"]:
            grad = self.weight_decay.penalized(grad, param, coefficient)
        gone = param - state["x0"]
        return {
            "gone": gone.square().sum(),
            "norm": param.square().sum(),
            "grad": grad.square().sum(),
        }

    def summed(self, groups: Sequence[Group]) -> None:
        """Write the distance, the sum of squares and the rate of this step into each group."""
        for group, measured in zip(self.param_groups, groups, strict=True):
            sums = {key: float(value) for key, value in measured["sums_over_group"].items()}
            if not sums:
                continue
            if group["k"] == 0:
                group["distance"] = group["reps_rel"] * (1 + sums["norm"] ** 0.5)
                group["squares"] = float(group["eps"])
            group["distance"] = max(group["distance"], sums["gone"] ** 0.5)
            group["squares"] += sums["grad"]
            root = group["squares"] ** 0.5
            group["rate"] = float(group["lr"]) * group["distance"] / root if root else 0.0
            group["k"] += 1

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the rate of this step."""
        rate: float = group["rate"]
        return rate

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient, which `get_lr` multiplies by the estimated rate."""
        return grad

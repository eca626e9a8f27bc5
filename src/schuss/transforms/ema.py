r"""EMA: remember a mean of the weights.

Polyak and Juditsky, *Acceleration of Stochastic Approximation by Averaging*, 1992; with a decay
rate as in Tarvainen and Valpola, *Mean teachers are better role models*, 2017, equation 2.
<https://arxiv.org/abs/1703.01780>

$$
\bar\theta_t = d_t\, \bar\theta_{t-1} + (1 - d_t)\, \theta_t, \qquad
d_t = \begin{cases}
    \min\bigl(d,\, (1 + t) / (10 + t)\bigr) & \text{warm-up} \\
    d & \text{otherwise}
\end{cases}
$$

The mean forgets where it started after about $1 / (1 - d)$ steps; with warm-up it does so from the
first step on. It is made in the same pass over memory as the step. Evaluate with it in `with
optimizer.evaluating():`.
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import flag, hyper
from schuss.domains import SHARE
from schuss.scalar_math import smaller
from schuss.transforms.transform import Transform


class EMA(Transform):
    """Keep a mean of the weights. Keeps one buffer per parameter, and a step count.

    Example:
        >>> import torch
        >>> from schuss import EMA, SGD
        >>> weight = torch.nn.Parameter(torch.tensor([0.0]))
        >>> optimizer = SGD([weight], lr=1.0, transforms=[EMA(0.5)])
        >>> weight.grad = torch.tensor([1.0])
        >>> optimizer.step()
        >>> with optimizer.evaluating():
        ...     print(weight.item())
        -0.5
        >>> weight.item()
        -1.0
    """

    ema_decay: float = hyper("", "decay rate d of the mean", SHARE, default=0.999)
    ema_warmup: bool = flag("forget faster in the beginning", default=False)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean at the first weights, and the count of steps at 0."""
        state["ema_step"] = 0
        state["ema"] = param.detach().to(wide_dtype(param), copy=True)

    def parameter(self, state: State, group: Group, param: Tensor) -> None:
        """Take the parameter into the mean."""
        state["ema_step"] += 1
        decay = group["ema_decay"]
        if group["ema_warmup"]:
            decay = smaller((1 + state["ema_step"]) / (10 + state["ema_step"]), decay)
        state["ema"].lerp_(param, 1 - decay)

    def evaluated(self, state: State, group: Group, param: Tensor) -> Tensor:
        """Return the mean of the weights, which takes their place in evaluation."""
        mean: Tensor = state["ema"]
        return mean

r"""RMSprop as in TensorFlow 1: a second moment that starts at one.

Tieleman and Hinton, *Lecture 6.5: rmsprop*, 2012, as `tf.train.RMSPropOptimizer` does it.
<https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/train/RMSPropOptimizer>

$$
\begin{aligned}
v_0 &= 1, \qquad v_t = \alpha\, v_{t-1} + (1 - \alpha)\, g_t^2 \\
b_t &= \mu\, b_{t-1} + \gamma_t\, g_t / \sqrt{v_t + \epsilon} \\
\theta_t &= \theta_{t-1} - b_t
\end{aligned}
$$

Networks that were tuned with it (EfficientNet and MobileNet among them) do not train with
`RMSprop`: the stabilizer stands below the root, the first steps are short instead of long, and the
learning rate is within the momentum.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import SHARE, at_least
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class RMSpropTF(Optimizer):
    """RMSprop of TensorFlow 1. Keeps two buffers per parameter.

    It writes its own step, because the learning rate is within the momentum: transforms of the
    update do not apply.
    """

    lr: float | Tensor = rate(default=1e-2)
    alpha: float = hyper("α", "decay rate of the second moment", SHARE, default=0.9)
    eps: float = stabilizer("below the root", default=1e-10)
    weight_decay: Decay = decay(default=0.0)
    momentum: float = hyper("μ", "decay rate of the sum of steps", at_least(0), default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the second moment at one, the momentum at zero."""
        one = complex(1, 1) if param.is_complex() else 1.0
        state["square_avg"] = torch.full_like(param, one)
        state["momentum_buffer"] = torch.zeros_like(param)

    def step_param(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Move the parameter by a momentum that contains the learning rate."""
        grad = self.weight_decay(param, grad, group)
        v, b = state["square_avg"], state["momentum_buffer"]
        v.mul_(group["alpha"]).addcmul_(grad, grad, value=1 - group["alpha"])
        step = grad / (v + group["eps"]).sqrt()
        b.mul_(group["momentum"]).add_(step * self.get_lr(state, group))
        param.sub_(b)

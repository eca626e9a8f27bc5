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

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import SHARE, Domains, at_least
from schuss.optimizer import Optimizer
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class RMSpropTF(Optimizer):
    """RMSprop of TensorFlow 1. Keeps two buffers per parameter.

    It writes its own step, because the learning rate is within the momentum: transforms of the
    update do not apply.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        alpha: Decay rate α of the second moment, in [0, 1].
        eps: Stabilizer ε, at least 0, below the root.
        weight_decay: Coefficient λ, at least 0, of an L2 penalty, or a decay object.
        momentum: Decay rate μ of the sum of steps, at least 0.
        **options: See `schuss.Options`.
    """

    domains = Domains(alpha=SHARE, eps=at_least(0), momentum=at_least(0))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.9,
        eps: float = 1e-10,
        weight_decay: float | WeightDecay = 0.0,
        momentum: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        defaults = {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum}
        decay = as_weight_decay(weight_decay, decoupled=False)
        super().__init__(params, defaults, weight_decay=decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the second moment at one, the momentum at zero."""
        one = complex(1, 1) if param.is_complex() else 1.0
        state["square_avg"] = torch.full_like(param, one)
        state["momentum_buffer"] = torch.zeros_like(param)

    def step_param(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Take one step."""
        grad = self.weight_decay(param, grad, group)
        v, b = state["square_avg"], state["momentum_buffer"]
        v.mul_(group["alpha"]).addcmul_(grad, grad, value=1 - group["alpha"])
        step = grad / (v + group["eps"]).sqrt()
        b.mul_(group["momentum"]).add_(step * self.get_lr(state, group))
        param.sub_(b)

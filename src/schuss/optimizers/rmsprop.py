r"""RMSprop: over the root of a mean of squares.

Tieleman and Hinton, *Lecture 6.5: rmsprop, divide the gradient by a running average of its recent
magnitude*, COURSERA: Neural Networks for Machine Learning, 2012; centered as in Graves, *Generating
Sequences With Recurrent Neural Networks*, 2013, equations 38 to 41.
<https://arxiv.org/abs/1308.0850>

$$
\begin{aligned}
v_t &= \alpha\, v_{t-1} + (1 - \alpha)\, g_t^2 \\
\bar g_t &= \alpha\, \bar g_{t-1} + (1 - \alpha)\, g_t \\
\sigma_t &= \begin{cases}
    \sqrt{v_t - \bar g_t^2} & \text{centered} \\
    \sqrt{v_t} & \text{otherwise}
\end{cases} \\
u_t &= \mu\, u_{t-1} + g_t / (\sigma_t + \epsilon)
\end{aligned}
$$

The mean starts at zero and its bias is not corrected, so that the first steps are
$1 / \sqrt{1 - \alpha}$ times as long as those of Adam. Here, as in `torch.optim`, the stabilizer is
added to the root.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, buffer
from schuss.declarations import decay, flag, hyper, rate, stabilizer
from schuss.domains import SHARE, at_least
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class RMSprop(Optimizer):
    """RMSprop. Keeps one buffer per parameter; one more with momentum, and one more if centered."""

    lr: float | Tensor = rate(default=1e-2)
    alpha: float = hyper("α", "decay rate of the means", SHARE, default=0.99)
    eps: float = stabilizer("added to the root", default=1e-8)
    weight_decay: Decay = decay(default=0.0)
    momentum: float = hyper("μ", "decay rate of the sum of updates", at_least(0), default=0.0)
    centered: bool = flag("divide by the deviation from the mean gradient", default=False)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean of squares at zero."""
        state["step"] = 0  # for checkpoints that go to torch.optim
        state["square_avg"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient over the root, summed if there is momentum."""
        alpha = group["alpha"]
        v = state["square_avg"].mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            mean = buffer(state, "grad_avg", grad).lerp_(grad, 1 - alpha)
            v = v.addcmul(mean, mean, value=-1)
        u = grad / (v.sqrt() + group["eps"])
        if group["momentum"] > 0:
            u = buffer(state, "momentum_buffer", grad).mul_(group["momentum"]).add_(u)
        return u

r"""Schedule-Free SGD: gradient descent that needs no schedule.

Defazio et al., *The Road Less Scheduled*, 2024, Algorithm 1.
<https://arxiv.org/abs/2405.15682>

$$
d_t = g_t + \lambda\, y_t
$$

The sequence $x$, with which the model is evaluated, is a mean of all points $z$. The mean has the
effect of a learning rate that falls to zero, without knowing when training ends. Gradients are
taken at $y$, between the mean and the last point; the parameters are $y$. `ScheduleFree` and
`PrimalAveraging` have the equations of these sequences.
"""

from __future__ import annotations

from torch import Tensor

from schuss.averaging import ScheduleFree
from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate
from schuss.domains import INSIDE
from schuss.transforms.weight_decay import Decay


class SGDScheduleFree(ScheduleFree):
    """Schedule-Free SGD. Keeps one buffer per parameter."""

    lr: float | Tensor = rate("much larger than SGD's", default=1.0)
    momentum: float = hyper(
        "β", "share of the mean in the point where gradients are taken", INSIDE, default=0.9
    )
    weight_decay: Decay = decay("in update", default=0.0)

    def direction(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient itself, as plain gradient descent does."""
        return grad

    def interpolation(self, group: Group) -> float:
        """Return β, the share of the mean x in y: the `momentum` of the group."""
        beta: float = group["momentum"]
        return beta

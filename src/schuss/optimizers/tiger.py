r"""Tiger: the sign of the momentum, tuned for memory.

Su, *Tiger: A Tight-fisted Optimizer*, 2023.
<https://github.com/bojone/tiger>

$$
\begin{aligned}
m_t &= \beta\, m_{t-1} + (1 - \beta)\, g_t \\
u_t &= \operatorname{sign}(m_t)
\end{aligned}
$$

Tiger is `Signum` with other defaults: a longer mean, whose decay rate takes the place of Lion's
two, and decay.

The author's code for TensorFlow also adapts the rate to each parameter, as LAMB does; the option
`layer_adaptive` does the same. Vectors and scalars, which that code tells by names (bias, beta,
gamma), take half the rate and do not decay; all others take

$$
\gamma_t = \gamma \operatorname{RMS}(\theta_{t-1}), \qquad
\theta_t = \theta_{t-1} - \gamma_t\, (u_t + \lambda\, \theta_{t-1})
$$

so that weights which are all zero stay there, and a good $\gamma$ is the share of itself by which
a weight is to change. Two parts of that code are left out: a rate of its own for each row of an
embedding, and its treatment of gradients that are NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, fixed, flag, hyper, rate
from schuss.domains import DECAY_RATE
from schuss.factored import rms
from schuss.optimizer import Optimizer
from schuss.optimizers.signum import Signum
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import Decay, as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class Tiger(Signum):
    """Tiger. Keeps one buffer per parameter.

    The constructor calls the momentum `beta`, as the authors do; in a group it is `momentum`.
    """

    lr: float | Tensor = rate(default=1e-3)
    momentum: float = fixed(default=0.965)
    beta: float = hyper("β", "decay rate of the gradient's mean", DECAY_RATE, default=0.965)
    weight_decay: Decay = decay("decoupled", default=0.01)
    layer_adaptive: bool = flag(
        "multiply the learning rate by the root of the mean square of the weights; for vectors "
        "and scalars halve it, and drop the decay",
        default=False,
        kw_only=True,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        beta: float = 0.965,
        weight_decay: float | WeightDecay = 0.01,
        *,
        layer_adaptive: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own = {"lr": lr, "momentum": beta, "layer_adaptive": layer_adaptive}
        made = as_weight_decay(weight_decay, decoupled=True)
        Optimizer.__init__(self, params, own, weight_decay=made, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean at zero."""
        super().init_state(state, group, param)
        state["is_vector"] = param.dim() < 2  # a rule sees one dimension more of complex ones

    def group_for(self, state: State, group: Group, param: Tensor) -> Group:
        """Return the learning rate, and the decay, of one parameter."""
        if not group["layer_adaptive"]:
            return group
        if state["is_vector"]:
            return {**group, "lr": group["lr"] / 2, "weight_decay": 0.0}
        return {**group, "lr": rms(param) * group["lr"]}

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group, which must not call the momentum `beta`."""
        super().check_group(group)
        if "beta" in group:
            raise ValueError("the parameter group has 'beta'; it is called 'momentum' there")

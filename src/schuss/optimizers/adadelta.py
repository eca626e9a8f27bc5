r"""Adadelta: steps as long as the last ones, in the units of the weights.

Zeiler, *ADADELTA: An Adaptive Learning Rate Method*, 2012, Algorithm 1.
<https://arxiv.org/abs/1212.5701>

$$
\begin{aligned}
v_t &= \rho\, v_{t-1} + (1 - \rho)\, g_t^2 \\
u_t &= \frac{\sqrt{a_{t-1} + \epsilon}}{\sqrt{v_t + \epsilon}}\, g_t \\
a_t &= \rho\, a_{t-1} + (1 - \rho)\, u_t^2
\end{aligned}
$$

A step has the units of the weights, because it is as long as the mean of those before. The paper
has no learning rate, which is $\gamma = 1$. The first steps are of length $\sqrt\epsilon$, so that
the stabilizer says how it starts.
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


class Adadelta(Optimizer):
    """Adadelta. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Factor γ of every step, at least 0; the paper's is 1.
        rho: Decay rate ρ of both means of squares, in [0, 1].
        eps: Stabilizer ε, at least 0, below both roots.
        weight_decay: Coefficient λ, at least 0, of an L2 penalty, or a decay object.
        **options: See `schuss.Options`.
    """

    domains = Domains(rho=SHARE, eps=at_least(0))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float | WeightDecay = 0.0,
        **options: Unpack[Options],
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps}
        decay = as_weight_decay(weight_decay, decoupled=False)
        super().__init__(params, defaults, weight_decay=decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both means at zero."""
        state["step"] = 0  # for checkpoints that go to torch.optim
        state["square_avg"] = torch.zeros_like(param)
        state["acc_delta"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient, as long as the last steps were."""
        rho, eps = group["rho"], group["eps"]
        v, a = state["square_avg"], state["acc_delta"]
        v.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        u = (a + eps).sqrt() / (v + eps).sqrt() * grad
        a.mul_(rho).addcmul_(u, u, value=1 - rho)
        return u

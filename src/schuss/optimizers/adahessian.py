r"""AdaHessian: Adam with the Hessian's diagonal for a second moment.

Yao et al., *ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning*, 2020,
Algorithm 1, without the averaging over blocks.
<https://arxiv.org/abs/2006.00719>

$$
\begin{aligned}
D_t &\approx \operatorname{diag} H, \text{ from } u \odot H u \text{ with } u_i = \pm 1 \\
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, D_t^2 \\
u_t &= \hat m_t / \bigl(\hat v_t^{k/2} + \epsilon\bigr)
\end{aligned}
$$

With $k = 1$ and no memory the rule is Newton's method for each weight. The squares of the estimates
are averaged over time, so that the sign of a single estimate is lost. The default of the stabilizer
`eps` is Adam's, and small beside any curvature; the authors' code has 1e-4, and a learning rate of
0.15.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.curvature import HessianDiagonal
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import SHARE, decay_rates
from schuss.transforms.weight_decay import Decay


class AdaHessian(HessianDiagonal):
    """AdaHessian. Keeps three buffers per parameter.

    Call `estimate_hessian` before `backward` in every step, or more seldom: the last estimate
    stays. Before the first one, the gradient takes its place, as in Adam.

    Example:
        >>> import torch
        >>> from schuss import AdaHessian
        >>> weight = torch.nn.Parameter(torch.tensor([3.0, 3.0]))
        >>> optimizer = AdaHessian([weight], lr=1.0)
        >>> loss = (torch.tensor([1.0, 100.0]) * weight.square()).sum() / 2
        >>> optimizer.estimate_hessian(loss)
        >>> loss.backward()
        >>> optimizer.step()
        >>> bool(weight.abs().max() < 1e-5)  # Newton's step
        True
    """

    lr: float | Tensor = rate(default=0.1)
    betas: tuple[float | Tensor, float | Tensor] = hyper(
        "β₁, β₂", "decay rates of both moments", decay_rates(2), default=(0.9, 0.999)
    )
    eps: float = stabilizer("added to the power of the second moment", default=1e-8)
    weight_decay: Decay = decay("decoupled", default=0.0)
    hessian_power: float = hyper("k", "exponent of the curvature", SHARE, default=1.0, kw_only=True)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both moments at zero."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_hessian_diag_sq"] = torch.zeros_like(param)

    def take_hessian(self, state: State, group: Group, estimate: Tensor, param: Tensor) -> None:
        """Remember the estimate for the next step."""
        state["hessian"] = estimate.clone()

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the first moment over the curvature."""
        (beta1, beta2), step = group["betas"], state["step"]
        m, v = state["exp_avg"], state["exp_hessian_diag_sq"]
        estimate = state.get("hessian", grad)
        m.lerp_(grad, 1 - beta1)
        v.mul_(beta2).addcmul_(estimate, estimate, value=1 - beta2)
        v_hat = v / (1 - beta2**step)
        m_hat: Tensor = m / (1 - beta1**step)
        return m_hat / (v_hat.pow(group["hessian_power"] / 2) + group["eps"])

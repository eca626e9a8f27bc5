r"""Sophia-G: a step along the momentum, divided by the curvature and clipped.

Liu et al., *Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training*,
2023, Algorithms 2 and 3. <https://arxiv.org/abs/2305.14342>

$$
\begin{aligned}
h_t &= \beta_2 h_{t-1} + (1 - \beta_2)\, B\, \hat g_t^2 \quad
    \text{every } k \text{ steps, else } h_{t-1} \\
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
u_t &= \operatorname{clip}\bigl(m_t / \max(\rho\, h_t,\, \epsilon),\, 1\bigr)
\end{aligned}
$$

$\hat g_t$ is the gradient of the mean loss over a batch of $B$ examples whose labels are drawn from
the model's own
predictions: $B\, \hat g_t^2$ then estimates the diagonal of the Gauss-Newton matrix
    (Gauss-Newton-Bartlett). Where the
curvature is small, negative or not known yet, the step is a sign step of length $\gamma$.

The defaults are labml's; the authors' code has rates of (0.965, 0.99), $\rho = 0.04$ and a decay of
0.1, found for GPT-2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.curvature import SampledDiagonal
from schuss.declarations import decay, flag, hyper, rate, stabilizer
from schuss.domains import at_least, decay_rates
from schuss.transforms.weight_decay import Decay


class Sophia(SampledDiagonal):
    """Sophia-G. Keeps two buffers per parameter.

    Example:
        >>> import torch
        >>> from torch.nn.functional import cross_entropy
        >>> from schuss import Sophia
        >>> model, x, y = torch.nn.Linear(4, 3), torch.randn(8, 4), torch.arange(8) % 3
        >>> optimizer = Sophia(model.parameters(), lr=1e-3)
        >>> for step in range(20):
        ...     if step % 10 == 0:
        ...         logits = model(x)
        ...         sampled = torch.distributions.Categorical(logits=logits).sample()
        ...         cross_entropy(logits, sampled).backward()
        ...         optimizer.update_hessian(n_tokens_training_batch=len(x))
        ...         optimizer.zero_grad()
        ...     cross_entropy(model(x), y).backward()
        ...     optimizer.step()
        ...     optimizer.zero_grad()
    """

    lr: float | Tensor = rate("the largest change of a weight in one step", default=1e-4)
    betas: tuple[float, float] = hyper(
        "β₁, β₂",
        "decay rates β₁ of the momentum and β₂ of the curvature",
        decay_rates(2),
        default=(0.9, 0.95),
    )
    eps: float = stabilizer("the smallest divisor", default=1e-12)
    rho: float = hyper(
        "ρ",
        "share of the curvature to divide by; the smaller, the more coordinates are clipped",
        at_least(0),
        default=0.03,
    )
    weight_decay: Decay = decay("decoupled", default=0.0)
    add_eps: bool = flag(
        "divide by ρ (h + ε), as labml does, instead of by the larger of ρ h and ε",
        default=False,
        kw_only=True,
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the momentum and the curvature at zero."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        state["hessian"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the momentum over the curvature, clipped."""
        beta1, rho, eps = group["betas"][0], group["rho"], group["eps"]
        m, h = state["exp_avg"], state["hessian"]
        m.lerp_(grad, 1 - beta1)
        divisor = rho * (h + eps) if group["add_eps"] else (rho * h).clamp(min=eps)
        return (m / divisor).clamp(-1, 1)

    def take_samples(
        self, state: State, group: Group, grad: Tensor, param: Tensor, count: int
    ) -> None:
        """Take the square of a gradient of sampled labels into the estimate of the curvature."""
        beta2 = group["betas"][1]
        state["hessian"].mul_(beta2).addcmul_(grad, grad, value=(1 - beta2) * count)

    def take_hessian(self, state: State, group: Group, estimate: Tensor, param: Tensor) -> None:
        """Take an estimate of the Hessian's diagonal into that of the curvature: Sophia-H."""
        state["hessian"].lerp_(estimate, 1 - group["betas"][1])

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group."""
        super().check_group(group)
        if group["rho"] == 0 and (group["add_eps"] or group["eps"] == 0):
            raise ValueError(
                f"Invalid rho value: {group['rho']!r}; rho must be above 0 if add_eps is True or "
                "eps is 0, so that there is something to divide by"
            )

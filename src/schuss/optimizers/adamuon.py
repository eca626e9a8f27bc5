r"""AdaMuon: Muon, with a second moment for each number of the orthogonal direction.

Si, Zhang and Shen, *AdaMuon: Adaptive Muon Optimizer*, 2025, Algorithm 1.
<https://arxiv.org/abs/2507.11005>

$$
\begin{aligned}
O_t &= \text{Muon's, of } \operatorname{sign}(\tilde B_t) \\
v_t &= \mu\, v_{t-1} + (1 - \mu)\, O_t^2 \\
\tilde O_t &= O_t / (\sqrt{v_t} + \epsilon) \\
u_t &= r\, \sqrt{m n}\; \tilde O_t / \lVert \tilde O_t \rVert_F
\end{aligned}
$$

The direction of Muon is divided by the root of its mean square, number by number, as Adam divides
the gradient. The result has a root of its mean square of $r$ in an m by n matrix, so that learning
rate and decay may be AdamW's. The signs of the momentum are orthogonalized, because they do
not depend on the scale of its rows and columns; `sign=False` leaves them out, as other packages do.
The authors' code does so too, and its second moment has a decay rate of its own, 0.999, and a
corrected bias. $\epsilon$ is $10^{-8}$.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, fixed, flag, hyper, rate
from schuss.domains import at_least
from schuss.matrices.shapes import as_matrices, from_matrices
from schuss.optimizers.muon import Muon
from schuss.transforms.weight_decay import Decay

EPS = 1e-8
"""Of the authors' code, <https://github.com/Chongjie-Si/AdaMuon>."""


class AdaMuon(Muon):
    """Muon with a second moment. Keeps two buffers per parameter."""

    lr: float | Tensor = rate("the size of a step, over r", default=2e-2)
    weight_decay: Decay = decay("decoupled", default=1e-2)
    adjust_lr_fn: str | None = fixed(default="none")
    sign: bool = flag("orthogonalize the signs of the momentum", default=True, kw_only=True)
    rms: float = hyper(
        "r", "root of the mean square of a direction", at_least(0), default=0.2, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both moments at zero."""
        super().init_state(state, group, param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the orthogonal direction over the root of its second moment, of the size r."""
        o = super().update(state, group, grad, param)
        v = state["exp_avg_sq"]
        v.lerp_(o.square(), 1 - group["momentum"])
        o_tilde = o / (v.sqrt() + EPS)
        stacks = as_matrices(o_tilde, group["matrices"])
        sized = [_sized(x, group["rms"]) for x in stacks]
        return from_matrices(sized, param.shape, group["matrices"])

    def direction(self, state: State, group: Group, x: Tensor, index: int) -> Tensor:
        """Return the orthogonal matrices of signs, or of the momentum itself."""
        return self.orthogonal(group, x.sign() if group["sign"] else x)


def _sized(x: Tensor, rms: float) -> Tensor:
    """Return each matrix of a stack with a given root of its mean square."""
    norm = rms * math.sqrt(x.shape[-2] * x.shape[-1])
    return x * (norm / (torch.linalg.matrix_norm(x, keepdim=True) + EPS))

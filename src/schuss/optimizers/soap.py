r"""SOAP: Adam in the eigenbasis of Shampoo.

Vyas et al., *SOAP: Improving and Stabilizing Shampoo using Adam*, 2024, Algorithm 3.
<https://arxiv.org/abs/2409.11321>

$$
\begin{aligned}
\tilde g_t &= Q_L^\top g_t\, Q_R \\
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, \tilde g_t \\
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, \tilde g_t^2 \\
u_t &= \frac{\sqrt{1 - \beta_2^{t}}}{1 - \beta_1^{t}}\;
    Q_L \bigl(m_t / (\sqrt{v_t} + \epsilon)\bigr)\, Q_R^\top \\
L_t &= \beta_3 L_{t-1} + (1 - \beta_3)\, g_t g_t^\top \\
R_t &= \beta_3 R_{t-1} + (1 - \beta_3)\, g_t^\top g_t \\
Q_L, Q_R &= \text{eigenvectors of } L_t, R_t \quad \text{every } k \text{ steps}
\end{aligned}
$$

The gradients of a matrix are correlated between its rows and between its columns. In the basis of
the eigenvectors they hardly are, so that dividing each number by its own root mean square, as Adam
does, comes near to dividing by the root of the whole covariance. The basis changes slowly. Between
two changes SOAP costs as much as Adam and four products of matrices.

The first step only finds the first basis, by an eigendecomposition, and $t$ counts from the second
one. Each later change is a step of the power iteration and a QR decomposition. With it the columns
of the bases are sorted by their eigenvalues, and $v$ with them, as in the authors' code; $m$ is
carried from the old basis to the new one. Sides longer than `max_dim` have no basis. Here the
decay is that of AdamW, while the authors' acts after the step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, moment_rates, rate, stabilizer
from schuss.domains import DECAY_RATE, or_none, whole
from schuss.matrices.shapes import as_matrices, from_matrices
from schuss.matrices.sides import (
    MAX_DIM,
    begin_bases,
    gather,
    gather_first,
    rotated,
    rotated_back,
    turn_by_power_iteration,
    turn_to_eigenvectors,
)
from schuss.matrixoptimizer import MatrixOptimizer
from schuss.transforms.weight_decay import Decay


class SOAP(MatrixOptimizer):
    """Adam in Shampoo's eigenbasis.

    Keeps two buffers per parameter, and two square matrices for each of its sides.
    """

    lr: float | Tensor = rate(default=3e-3)
    betas: tuple[float | Tensor, float | Tensor] = moment_rates(default=(0.95, 0.95))
    eps: float = stabilizer("added to the root of the second moment", default=1e-8)
    weight_decay: Decay = decay("decoupled", default=1e-2)
    shampoo_beta: float | None = hyper(
        "β₃",
        "decay rate of the sides L and R; None is β₂",
        or_none(DECAY_RATE),
        default=None,
        kw_only=True,
    )
    precondition_frequency: int = hyper(
        "k", "steps from one change of the basis to the next", whole(1), default=10, kw_only=True
    )
    max_dim: int = hyper(
        "", "the longest side that has a basis", MAX_DIM, default=10_000, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both moments and both sides at zero."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)
        begin_bases(state, group, param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return Adam's direction in the eigenbasis, turned back."""
        matrices = group["matrices"]
        kept = [state["exp_avg"], state["exp_avg_sq"], grad]
        stacks = zip(*(as_matrices(x, matrices) for x in kept), strict=True)
        moved = [self.moved(state, group, index, *each) for index, each in enumerate(stacks)]
        m, v, u = (from_matrices(each, param.shape, matrices) for each in zip(*moved, strict=True))
        state["exp_avg"].copy_(m)
        state["exp_avg_sq"].copy_(v)
        return u

    def moved(
        self, state: State, group: Group, index: int, m: Tensor, v: Tensor, g: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return both moments and the direction of a stack of matrices, and change its sides."""
        beta1, beta2 = group["betas"]
        beta3 = beta2 if group["shampoo_beta"] is None else group["shampoo_beta"]
        t = state["step"] - 1
        if t == 0:
            gather_first(state, g, index, 1 - beta3)
            turn_to_eigenvectors(state, index)
            return m, v, torch.zeros_like(g)
        g_tilde = rotated(state, g, index)
        m = m.lerp(g_tilde, 1 - beta1)
        v = v.lerp(g_tilde.square(), 1 - beta2)
        u = rotated_back(state, m / (v.sqrt() + group["eps"]), index)
        gather(state, g, index, 1 - beta3)
        if t % group["precondition_frequency"] == 0:
            outside = rotated_back(state, m, index)
            v = turn_by_power_iteration(state, index, v)
            m = rotated(state, outside, index)
        return m, v, u * ((1 - beta2**t) ** 0.5 / (1 - beta1**t))

r"""Shampoo: the gradient between the inverse roots of its two sides.

Gupta, Koren and Singer, *Shampoo: Preconditioned Stochastic Tensor Optimization*, 2018, Algorithm
1, with a mean of the gradients as in Shi et al., *A Distributed Data-Parallel PyTorch
Implementation of the Distributed Shampoo Optimizer*, 2023.
<https://arxiv.org/abs/1802.09568>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
\hat m_t &= m_t / (1 - \beta_1^t) \\
L_t &= \beta_2 L_{t-1} + w\, g_t g_t^\top \\
R_t &= \beta_2 R_{t-1} + w\, g_t^\top g_t \\
u_t &= (\hat L_t + \epsilon I)^{-1/4}\; \hat m_t\; (\hat R_t + \epsilon I)^{-1/4}
\end{aligned}
$$

With $\beta_2 = 1$, the default, the sides are sums as in AdaGrad: $w = 1$ and $\hat L_t = L_t$.
With a smaller $\beta_2$ they are means as in Adam: $w = 1 - \beta_2$ and
$\hat L_t = L_t / (1 - \beta_2^t)$. The direction of the first step is the polar factor of the
gradient, so that Muon is Shampoo without a memory of the sides.

`graft="sgd"` gives every direction the norm of $\hat m_t$, so that a learning rate of SGD serves.
The roots are computed every `precondition_frequency` steps, from eigenvalues that are at least 0. A
side that is longer than `max_dim` is left out, and the other one has the exponent $-1/2$.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import DECAY_RATE, POSITIVE_SHARE, one_of, or_none, tuple_of, whole
from schuss.matrices.shapes import as_matrices, from_matrices
from schuss.matrices.sides import (
    LEFT,
    MAX_DIM,
    RIGHT,
    ROOT,
    basis,
    begin_bases,
    eigenvectors,
    gather,
    side,
)
from schuss.matrixoptimizer import MatrixOptimizer
from schuss.transforms.weight_decay import Decay


class Shampoo(MatrixOptimizer):
    """Shampoo.

    Keeps one buffer per parameter, and two square matrices for each of its sides.
    """

    lr: float | Tensor = rate(default=1e-2)
    betas: tuple[float, float] = hyper(
        "β₁, β₂",
        "decay rates of the mean and of the sides, of which 1 makes sums",
        tuple_of(DECAY_RATE, POSITIVE_SHARE),
        default=(0.9, 1.0),
    )
    eps: float = stabilizer("added to the eigenvalues of the sides", default=1e-12)
    weight_decay: Decay = decay("decoupled", default=0.0)
    precondition_frequency: int = hyper(
        "k",
        "steps from one computation of the roots to the next",
        whole(1),
        default=1,
        kw_only=True,
    )
    graft: str | None = hyper(
        "",
        "the norm of a direction: sgd is that of the mean, None its own",
        or_none(one_of("sgd")),
        default=None,
        kw_only=True,
    )
    max_dim: int = hyper(
        "", "the longest side that there is", MAX_DIM, default=10_000, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean and the sides at zero, and their roots at the identity."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        begin_bases(state, group, param, ROOT)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the mean gradient between the inverse roots of the sides."""
        beta1 = group["betas"][0]
        m = state["exp_avg"].lerp_(grad, 1 - beta1)
        m_hat = m / (1 - beta1 ** state["step"])
        pairs = zip(*(as_matrices(x, group["matrices"]) for x in (m_hat, grad)), strict=True)
        found = [self.direction(state, group, index, *pair) for index, pair in enumerate(pairs)]
        return from_matrices(found, param.shape, group["matrices"])

    def direction(self, state: State, group: Group, index: int, m: Tensor, g: Tensor) -> Tensor:
        """Return the direction of a stack of matrices, and change its sides and roots."""
        beta2 = group["betas"][1]
        gather(state, g, index, 1.0 if beta2 == 1 else 1 - beta2, kept=beta2)
        if (state["step"] - 1) % group["precondition_frequency"] == 0:
            self.compute_roots(state, group, index)
        left, right = (basis(state, name, index, ROOT) for name in (LEFT, RIGHT))
        u = m if left is None else left @ m
        u = u if right is None else u @ right
        if group["graft"] is None:
            return u
        before, after = (torch.linalg.matrix_norm(x, keepdim=True) for x in (m, u))
        return u * (before / after.clamp(min=torch.finfo(u.dtype).tiny))

    def compute_roots(self, state: State, group: Group, index: int) -> None:
        """Put the inverse root of each side in the place of its basis."""
        beta2 = group["betas"][1]
        held = [side(state, name, index) for name in (LEFT, RIGHT)]
        exponent = -0.5 / max(1, sum(each is not None for each in held))
        for name, each in zip((LEFT, RIGHT), held, strict=True):
            root = basis(state, name, index, ROOT)
            if each is None or root is None:
                continue
            mean = each if beta2 == 1 else each / (1 - beta2 ** state["step"])
            values, vectors = eigenvectors(mean)
            powers = (values.clamp(min=0) + group["eps"]).pow(exponent)
            root.copy_((vectors * powers.unsqueeze(-2)) @ vectors.mT)

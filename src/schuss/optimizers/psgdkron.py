r"""PSGDKron: the gradient whitened by two triangular factors that are fitted to it.

Li, *Preconditioned Stochastic Gradient Descent*, 2015, and *Stochastic Hessian Fittings with Lie
Groups*, 2024, for factors of a Kronecker product.
<https://arxiv.org/abs/2402.11858>

$$
\begin{aligned}
m_t &= \beta\, m_{t-1} + (1 - \beta)\, g_t \\
\hat m_t &= m_t / (1 - \beta^t) \\
A &= Q_L\, \hat m_t\, Q_R^\top \\
B &= Q_L^{-\top}\, V\, Q_R^{-1}, \quad V \sim \mathcal N(0, 1) \\
Q_L &\leftarrow Q_L - \mu \operatorname{triu}(A A^\top - B B^\top)\, Q_L
    / \lVert A A^\top + B B^\top \rVert_2 \\
Q_R &\leftarrow Q_R - \mu \operatorname{triu}(A^\top A - B^\top B)\, Q_R
    / \lVert A^\top A + B^\top B \rVert_2 \\
u_t &= Q_L^\top Q_L\, \hat m_t\, Q_R^\top Q_R
\end{aligned}
$$

The preconditioner $P = Q^\top Q$ with $Q = Q_L \otimes Q_R$ is at rest where $P g$ is as large as
$P^{-1}$ lets random numbers be: where $P$ is the inverse root of the covariance of the gradient, as
in Shampoo. It is found by multiplications and triangular solves, without a decomposition. An update
whose root of the mean square is above 1.1 is shortened to that.

The factors change every `precondition_frequency` steps. The noise $V$ is drawn by a generator that
begins anew with the number of the step, so that a checkpoint continues bit for bit. The spectral
norm is a lower bound, as in the author's code. A side that is longer than `max_dim` has no factor.
Packages for torch change the factors ever more rarely as a training goes on, and once in a hundred
changes give both factors numbers of one size, which changes their product by rounding only.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import decay, hyper, rate
from schuss.domains import DECAY_RATE, above, whole
from schuss.matrices.shapes import (
    as_matrices,
    from_matrices,
    keyed,
    matrix_shapes,
)
from schuss.matrices.sides import LEFT, MAX_DIM, RIGHT
from schuss.matrixoptimizer import MatrixOptimizer
from schuss.transforms.weight_decay import Decay

LARGEST_RMS = 1.1
"""The root of the mean square of an update beyond which it is shortened, of the author's code."""
EPS = 1e-30
"""Added to norms, so that zeros leave the factors as they are."""


class PSGDKron(MatrixOptimizer):
    """Whitening by triangular factors.

    Keeps one buffer per parameter, and a square matrix for each of its sides.
    """

    lr: float | Tensor = rate(default=3e-4)
    momentum: float = hyper("β", "decay rate of the gradient's mean", DECAY_RATE, default=0.9)
    weight_decay: Decay = decay("decoupled", default=0.0)
    precondition_lr: float = hyper(
        "μ", "learning rate of the factors", above(0), default=0.1, kw_only=True
    )
    precondition_frequency: int = hyper(
        "", "steps from one change of the factors to the next", whole(1), default=1, kw_only=True
    )
    max_dim: int = hyper(
        "", "the longest side that has a factor", MAX_DIM, default=8192, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean at zero, and the factors at the identity."""
        state["step"] = 0
        state["momentum_buffer"] = torch.zeros_like(param)
        for index, (batch, *sizes) in enumerate(matrix_shapes(param.shape, group["matrices"])):
            for name, size in zip((LEFT, RIGHT), sizes, strict=True):
                if size <= group["max_dim"]:
                    eye = torch.eye(size, dtype=wide_dtype(param), device=param.device)
                    state[_key(name, index)] = eye.expand(batch, size, size).clone()

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the whitened mean, shortened if it is too long."""
        beta = group["momentum"]
        m = state["momentum_buffer"].lerp_(grad, 1 - beta)
        m_hat = m / (1 - beta ** state["step"])
        stacks = as_matrices(m_hat, group["matrices"])
        found = [self.whitened(state, group, x, index) for index, x in enumerate(stacks)]
        u = from_matrices(found, param.shape, group["matrices"])
        return u * (LARGEST_RMS / (u.square().mean().sqrt() + 1e-6)).clamp(max=1.0)

    def whitened(self, state: State, group: Group, m_hat: Tensor, index: int) -> Tensor:
        """Return a stack of matrices between the products of their factors."""
        if (state["step"] - 1) % group["precondition_frequency"] == 0:
            self.fit(state, group, m_hat, index)
        left, right = (state.get(_key(name, index)) for name in (LEFT, RIGHT))
        u = m_hat if left is None else left.mT @ (left @ m_hat)
        return u if right is None else (u @ right.mT) @ right

    def fit(self, state: State, group: Group, m_hat: Tensor, index: int) -> None:
        """Take a step with the factors of a stack of matrices."""
        left, right = (state.get(_key(name, index)) for name in (LEFT, RIGHT))
        # A whole number would be an option of the function, and each step another trace.
        a, b = m_hat, noise(m_hat, state["step"] * 1.0)
        if left is not None:
            a, b = left @ a, torch.linalg.solve_triangular(left.mT, b, upper=False)
        if right is not None:
            a = a @ right.mT
            b = torch.linalg.solve_triangular(right, b, upper=True, left=False)
        for q, x, y in ((left, a @ a.mT, b @ b.mT), (right, a.mT @ a, b.mT @ b)):
            if q is not None:
                step = group["precondition_lr"] / (spectral_norm_bound(x + y) + EPS)
                q.sub_((torch.triu(x - y) * step) @ q)


def noise(like: Tensor, seed: float) -> Tensor:
    """Return normal numbers, the same for each matrix of a stack, from its shape and a seed."""
    if has_torch_function_unary(like):
        return handle_torch_function(noise, (like,), like, seed)
    if like.is_meta:
        return torch.empty_like(like)
    generator = torch.Generator(device=like.device).manual_seed(int(seed))
    numbers = torch.empty(like.shape[-2:], dtype=torch.float32, device=like.device)
    return numbers.normal_(generator=generator).to(like.dtype).expand_as(like)


noise.takes_stacks = True  # type: ignore[attr-defined]  # so that engines call it for all matrices


def spectral_norm_bound(x: Tensor) -> Tensor:
    """Return a lower bound of the spectral norm of symmetric matrices, of shape (..., 1, 1).

    It is one step of the power iteration, from the product with the longest row.
    """
    tiny = torch.finfo(x.dtype).tiny
    largest = x.abs().amax((-2, -1), keepdim=True).clamp(min=tiny)
    x = x / largest
    longest = x.square().sum(-1).argmax(-1, keepdim=True).unsqueeze(-1)
    v = x @ x.take_along_dim(longest, -2).mT
    v = v / torch.linalg.vector_norm(v, dim=-2, keepdim=True).clamp(min=tiny)
    return largest * torch.linalg.vector_norm(x.mT @ v, dim=-2, keepdim=True)


def _key(name: str, index: int) -> str:
    return keyed(f"{name}_factor", index)

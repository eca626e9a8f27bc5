r"""SPlus: the sign of the momentum in the eigenbasis of Shampoo.

Frans, Levine and Abbeel, *A Stable Whitening Optimizer for Efficient Neural Network Training*,
2025, Algorithm 1.
<https://arxiv.org/abs/2506.07254>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
u_t &= \frac{2}{m + n}\; Q_L \operatorname{sign}(Q_L^\top m_t\, Q_R)\, Q_R^\top \\
L_t &= \beta_2 L_{t-1} + (1 - \beta_2)\, g_t g_t^\top \\
R_t &= \beta_2 R_{t-1} + (1 - \beta_2)\, g_t^\top g_t \\
Q_L, Q_R &= \text{eigenvectors of } L_t, R_t \quad \text{in the first step, and every } k
\end{aligned}
$$

Shampoo divides by the root of the eigenvalues, and diverges when these are old. SPlus takes the
sign in their place, which is bounded however old the basis is, so that a basis serves a hundred
steps. The factor of an m by n matrix lets one learning rate serve all widths. The basis changes
after it was used, so that the first step is that of the sign itself.

The decay is multiplied by the same factor as the step. The paper evaluates a mean of the weights:
add `EMA(0.999)` to the transforms. The authors' code for torch has a fourth of the paper's factor,
so that a learning rate of theirs is four times one of here. It decays after the step, and moves
vectors by signs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, moment_rates, rate
from schuss.domains import whole
from schuss.matrices.shapes import as_matrices, from_matrices, matrix_shapes
from schuss.matrices.sides import (
    MAX_DIM,
    begin_bases,
    gather,
    rotated,
    rotated_back,
    turn_to_eigenvectors,
)
from schuss.matrixoptimizer import MatrixOptimizer
from schuss.transforms.weight_decay import Decay


class SPlus(MatrixOptimizer):
    """Signs in Shampoo's eigenbasis.

    Keeps one buffer per parameter, and two square matrices for each of its sides.
    """

    lr: float | Tensor = rate("over the mean of the two sides of a matrix", default=1e-1)
    betas: tuple[float | Tensor, float | Tensor] = moment_rates(default=(0.9, 0.999))
    weight_decay: Decay = decay("decoupled", default=1e-2)
    inverse_every: int = hyper(
        "k", "steps from one change of the basis to the next", whole(1), default=100, kw_only=True
    )
    max_dim: int = hyper(
        "", "the longest side that has a basis", MAX_DIM, default=10_000, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean and the sides at zero."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        begin_bases(state, group, param)

    def group_for(self, state: State, group: Group, param: Tensor) -> Group:
        """Return the group with the learning rate of the first matrix, for the decay too."""
        [first, *_] = matrix_shapes(param.shape, group["matrices"])
        return {**group, "lr": group["lr"] * _factor(first)}

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the signs of the mean in the eigenbasis, turned back."""
        m = state["exp_avg"].lerp_(grad, 1 - group["betas"][0])
        pairs = zip(*(as_matrices(x, group["matrices"]) for x in (m, grad)), strict=True)
        found = [self.direction(state, group, index, *pair) for index, pair in enumerate(pairs)]
        factors = [_factor(u.shape) / _factor(found[0].shape) for u in found]
        sized = [u * factor for u, factor in zip(found, factors, strict=True)]
        return from_matrices(sized, param.shape, group["matrices"])

    def direction(self, state: State, group: Group, index: int, m: Tensor, g: Tensor) -> Tensor:
        """Return the direction of a stack of matrices, and change its sides."""
        u = rotated_back(state, rotated(state, m, index).sign(), index)
        gather(state, g, index, 1 - group["betas"][1])
        if state["step"] == 1 or state["step"] % group["inverse_every"] == 0:
            turn_to_eigenvectors(state, index)
        return u


def _factor(shape: Sequence[int]) -> float:
    """Return the factor of a step, from the shape of a stack of matrices."""
    return 2 / (shape[-2] + shape[-1])

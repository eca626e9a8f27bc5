r"""KLShampoo: Shampoo, with sides that take each other into account.

Lin et al., *Understanding and improving Shampoo and SOAP via Kullback-Leibler Minimization*, 2025,
Algorithm 1.
<https://arxiv.org/abs/2509.03378>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
E &= d_L^{-1/2} \otimes d_R^{-1/2} \\
u_t &= Q_L \bigl(Q_L^\top m_t\, Q_R \odot E / (1 + \epsilon E)\bigr)\, Q_R^\top \\
L_t &= \beta_2 L_{t-1} + \tfrac{1 - \beta_2}{n}\; g_t\, Q_R D_R^{-1} Q_R^\top g_t^\top \\
R_t &= \beta_2 R_{t-1} + \tfrac{1 - \beta_2}{m}\; g_t^\top Q_L D_L^{-1} Q_L^\top g_t \\
d_L &\leftarrow \beta_2\, d_L + (1 - \beta_2)
    \operatorname{mean}_{\text{columns}}\bigl((Q_L^\top g_t\, Q_R D_R^{-1/2})^2\bigr) \\
d_R &\leftarrow \beta_2\, d_R + (1 - \beta_2)
    \operatorname{mean}_{\text{rows}}\bigl((D_L^{-1/2} Q_L^\top g_t\, Q_R)^2\bigr) \\
Q_L, Q_R &\leftarrow \operatorname{qr}(L_t Q_L), \operatorname{qr}(R_t Q_R)
    \quad \text{every } k \text{ steps}
\end{aligned}
$$

The Kronecker product of $L$ and $R$ is to be the covariance of the gradient of an m by n matrix. Of
all such products the one that is nearest in the Kullback-Leibler divergence has an $L$ that is the
mean of $g R^{-1} g^\top / n$, and an $R$ that is the mean of $g^\top L^{-1} g / m$. Shampoo leaves
the inverses out and has to make up for it by the norm of another optimizer. The eigenvalues $d$ are
followed in every step, in the basis that there is.

The first step only finds the first basis. The eigenvalues start at `init_factor`, and a number of
$d^{-1/2}$ is at most 10, or the length of its side if that is more, and 4000 at the most. Where
this bound holds, the mean goes on from the eigenvalue that belongs to it, as in the authors' code.
A side that is longer than `max_dim` has eigenvalues and no basis. The authors' code computes in
bfloat16 and decays after the step; here it is in float32, and the decay is that of AdamW.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import decay, hyper, moment_rates, rate, stabilizer
from schuss.domains import above, whole
from schuss.matrices.shapes import (
    as_matrices,
    from_matrices,
    keyed,
    matrix_shapes,
)
from schuss.matrices.sides import (
    LEFT,
    MAX_DIM,
    RIGHT,
    basis,
    begin_bases,
    rotated,
    rotated_back,
    side,
    turn_to_eigenvectors,
)
from schuss.matrixoptimizer import MatrixOptimizer
from schuss.transforms.weight_decay import Decay

LEAST_BOUND, LARGEST_BOUND = 10, 4000
"""Bounds of an inverse root, of the authors' code, <https://github.com/yorkerlin/KL-Methods>."""


class KLShampoo(MatrixOptimizer):
    """Shampoo by the Kullback-Leibler divergence.

    Keeps one buffer per parameter, and two square matrices for each of its sides.
    """

    lr: float | Tensor = rate(default=1e-4)
    betas: tuple[float | Tensor, float | Tensor] = moment_rates(default=(0.9, 0.98))
    eps: float = stabilizer("of the inverse roots of both eigenvalues", default=1e-8)
    weight_decay: Decay = decay("decoupled", default=1e-2)
    precondition_frequency: int = hyper(
        "k", "steps from one change of the basis to the next", whole(1), default=10, kw_only=True
    )
    init_factor: float = hyper(
        "", "the eigenvalues in the beginning", above(0), default=0.1, kw_only=True
    )
    max_dim: int = hyper(
        "", "the longest side that has a basis", MAX_DIM, default=10_000, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean and the sides at zero, and the eigenvalues at their first value."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        begin_bases(state, group, param)
        for index, (batch, *sizes) in enumerate(matrix_shapes(param.shape, group["matrices"])):
            for name, size in zip((LEFT, RIGHT), sizes, strict=True):
                ones = param.new_ones((batch, size), dtype=wide_dtype(param))
                state[_of_values(name, index)] = ones * group["init_factor"]

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the mean between the inverse roots of the sides."""
        m = state["exp_avg"]
        if state["step"] > 1:
            m.lerp_(grad, 1 - group["betas"][0])
        pairs = zip(*(as_matrices(x, group["matrices"]) for x in (m, grad)), strict=True)
        step = self.begun if state["step"] == 1 else self.direction
        found = [step(state, group, index, *pair) for index, pair in enumerate(pairs)]
        return from_matrices(found, param.shape, group["matrices"])

    def begun(self, state: State, group: Group, index: int, m: Tensor, g: Tensor) -> Tensor:
        """Begin the sides and the bases, and return no direction."""
        self.gathered(state, group, index, g @ g.mT, g.mT @ g)
        turn_to_eigenvectors(state, index)
        return torch.zeros_like(g)

    def direction(self, state: State, group: Group, index: int, m: Tensor, g: Tensor) -> Tensor:
        """Return the direction of a stack of matrices, and change its sides."""
        of_left, of_right = (inverse_root(state[_of_values(n, index)]) for n in (LEFT, RIGHT))
        of_left, of_right = of_left.unsqueeze(-1), of_right.unsqueeze(-2)
        e = of_left * of_right
        u = rotated_back(state, rotated(state, m, index) * (e / (1 + e * group["eps"])), index)
        turned = rotated(state, g, index)
        self.follow(state, group, index, turned, of_left, of_right)
        outer = turned * of_right, turned * of_left
        left, right = (rotated_back(state, each, index) for each in outer)
        self.gathered(state, group, index, left @ left.mT, right.mT @ right)
        if (state["step"] - 1) % group["precondition_frequency"] == 0:
            for name in (LEFT, RIGHT):
                held, turned_by = side(state, name, index), basis(state, name, index)
                if held is not None and turned_by is not None:
                    turned_by.copy_(torch.linalg.qr(held @ turned_by).Q)
        return u

    def gathered(self, state: State, group: Group, index: int, left: Tensor, right: Tensor) -> None:
        """Take products into the sides, each over the length of the other one."""
        beta2 = group["betas"][1]
        for name, product, others in ((LEFT, left, right), (RIGHT, right, left)):
            held = side(state, name, index)
            if held is not None:
                held.mul_(beta2).add_(product * ((1 - beta2) / others.shape[-1]))

    def follow(
        self, state: State, group: Group, index: int, turned: Tensor, left: Tensor, right: Tensor
    ) -> None:
        """Take the squares of a turned gradient into the eigenvalues of both sides."""
        for name, root, dim in ((LEFT, right, -1), (RIGHT, left, -2)):
            values = state[_of_values(name, index)]
            squares = (turned * root).square().mean(dim)
            values.clamp_(min=bound(values) ** -2).lerp_(squares, 1 - group["betas"][1])


def inverse_root(values: Tensor) -> Tensor:
    """Return the inverse roots of eigenvalues, within the bounds of the authors' code."""
    return values.rsqrt().clamp(max=bound(values))


def bound(values: Tensor) -> int:
    """Return the largest inverse root of the eigenvalues of a side."""
    return max(LEAST_BOUND, min(values.shape[-1], LARGEST_BOUND))


def _of_values(name: str, index: int) -> str:
    """Return the key of the eigenvalues of a side."""
    return keyed(f"{name}_values", index)

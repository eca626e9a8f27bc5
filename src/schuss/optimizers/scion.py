r"""Scion: steps of full length in the norm of each layer.

Pethick et al., *Training Deep Learning Models with Norm-Constrained LMOs*, 2025, Algorithm 2.
<https://arxiv.org/abs/2502.07529>

$$
\begin{aligned}
B_t &= (1 - \alpha)\, B_{t-1} + \alpha\, g_t \\
u_t &= \rho \operatorname{lmo}(B_t)
\end{aligned}
$$

The linear minimization oracle, lmo, is the point of the unit ball of a norm that lies farthest in
the direction of $B_t$. A layer has the norm that bounds how much its outputs change. With
$\lambda = 1$, the default, the weights remain in the ball of radius $\rho$ if they begin there.
With $\lambda = 0$ they are unconstrained. Of an m by n matrix:

| `norm` | lmo | for |
|---|---|---|
| `"spectral"` | $\sqrt{m / n}\; U V^\top$ of $B = U \Sigma V^\top$ | hidden layers |
| `"sign"` | $\operatorname{sign}(B) / n$ | the last layer, embeddings |
| `"row"` | each row over $\sqrt n$ times its norm | the last layer |
| `"col"` | $\sqrt m$ times each column over its norm | the first layer |

The authors take $\rho = 50$ for hidden layers and 3000 for the last one, as `scale` of the groups.
`momentum` is $\alpha$, the share of the new gradient, as in their code. An embedding, with a row
for each token, is the transposed matrix: `matrices=Dims(rows=(1,), cols=(0,))`. For `"spectral"`
the factor may be another, by `adjust_lr_fn`. The step of a convolution depends on the shape of its
matrix, where the authors' code divides once more by the size of its kernel. Biases are trained by
another optimizer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, fixed, hyper, rate
from schuss.domains import POSITIVE_SHARE, at_least, one_of
from schuss.matrices.scales import SCALE
from schuss.matrices.shapes import as_matrices, from_matrices
from schuss.optimizers.muon import Muon
from schuss.transforms.weight_decay import Decay

EPS = 1e-8
"""Added to norms of rows and columns, as in the authors' code, <https://github.com/LIONS-EPFL/scion>."""


class Scion(Muon):
    """Steps to the boundary of a ball. Keeps one buffer per parameter."""

    lr: float | Tensor = rate("the share of the way to the boundary of the ball", default=1e-3)
    weight_decay: Decay = decay("decoupled", default=1.0)
    momentum: float = hyper("α", "share of the new gradient", POSITIVE_SHARE, default=1.0)
    nesterov: bool = fixed(default=False)
    adjust_lr_fn: str | None = hyper(
        "",
        "the factor of a spectral step by its shape, see schuss.matrices.SCALES",
        SCALE,
        default="spectral",
    )
    scale: float = hyper("ρ", "the radius of the ball", at_least(0), default=1.0, kw_only=True)
    norm: str = hyper(
        "",
        "the norm of the ball",
        one_of("spectral", "sign", "row", "col"),
        default="spectral",
        kw_only=True,
    )

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the point of the ball that is farthest along the mean gradient."""
        b = state["momentum_buffer"].lerp_(grad, group["momentum"])
        stacks = as_matrices(b, group["matrices"])
        found = [self.direction(state, group, x, index) for index, x in enumerate(stacks)]
        return from_matrices(found, param.shape, group["matrices"]) * group["scale"]

    def direction(self, state: State, group: Group, x: Tensor, index: int) -> Tensor:
        """Return the point of the unit ball for each matrix of a stack."""
        rows, cols = x.shape[-2:]
        match group["norm"]:
            case "spectral":
                return super().direction(state, group, x, index)
            case "sign":
                return x.sign() / cols
            case "row":
                norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
                return x / (norms * math.sqrt(cols) + EPS)
            case _:
                norms = torch.linalg.vector_norm(x, dim=-2, keepdim=True)
                return x / (norms / math.sqrt(rows) + EPS)

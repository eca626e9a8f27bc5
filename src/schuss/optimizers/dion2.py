r"""Dion2: Muon of the largest rows, while the others gather.

Ahn et al., *Dion2: A Simple Method to Shrink Matrix in Muon*, 2025, Algorithm 1.
<https://arxiv.org/abs/2512.16928>

$$
\begin{aligned}
M_t &= M_{t-1} + g_t \\
K &= \text{the } \lceil f \min(m, n) \rceil \text{ rows of } M_t
    \text{ with the largest sums of magnitudes} \\
O_t &= U V^\top, \quad \text{where } U \Sigma V^\top = M_t[K] \\
u_t &= s\, O_t \quad \text{in the rows } K \text{, and } 0 \text{ in the others} \\
M_t &\leftarrow \mu\, M_t \quad \text{in the rows } K
\end{aligned}
$$

Only a fraction $f$ of the rows of an m by n matrix is orthogonalized and moves in a step. The other
rows keep their gradients in the sum $M$ until they are among the largest. Rows that have moved
keep the share $\mu$ of theirs. With a fourth of the rows a step costs about a fourth of Muon's, and
as little is sent where several processes share a matrix. Of a matrix with more rows than
columns the columns take the place of the rows.

The scale $s$ is that of the whole matrix, and the decay acts on all of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, fixed, hyper, rate
from schuss.domains import POSITIVE_SHARE, SHARE
from schuss.matrices.coefficients import COEFFICIENTS
from schuss.matrices.scales import SCALE, scale
from schuss.matrices.shapes import as_matrices, from_matrices
from schuss.optimizers.muon import Muon
from schuss.transforms.weight_decay import Decay


class Dion2(Muon):
    """Muon of the largest rows. Keeps one buffer per parameter."""

    lr: float | Tensor = rate("the size of the singular values of a step, over s", default=1e-2)
    weight_decay: Decay = decay("decoupled", default=1e-2)
    momentum: float = hyper(
        "μ", "the share that remains of the sum of rows that have moved", SHARE, default=0.95
    )
    nesterov: bool = fixed(default=False)
    ns_coefficients: str | Sequence[float] | Sequence[Sequence[float]] = hyper(
        "",
        "coefficients of the Newton-Schulz iteration, or the name of a set of them in "
        "schuss.matrices.SETS",
        COEFFICIENTS,
        default="polar_express",
    )
    adjust_lr_fn: str | None = hyper(
        "s",
        "the scale of a direction by the shape of the matrix, see schuss.matrices.SCALES",
        SCALE,
        default="spectral",
    )
    fraction: float = hyper(
        "f",
        "the share of the rows that moves in a step",
        POSITIVE_SHARE,
        default=0.25,
        kw_only=True,
    )

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the direction of the largest rows, and let them forget."""
        m = state["momentum_buffer"].add_(grad)
        pairs = [self.moved(group, x) for x in as_matrices(m, group["matrices"])]
        both = zip(*pairs, strict=True)
        u, kept = (from_matrices(stacks, param.shape, group["matrices"]) for stacks in both)
        m.copy_(kept)
        return u

    def moved(self, group: Group, m: Tensor) -> tuple[Tensor, Tensor]:
        """Return the direction of a stack of matrices, and the part of the sums that remains."""
        rows, cols = m.shape[-2:]
        dim, other = (-2, -1) if rows <= cols else (-1, -2)
        count = max(1, math.ceil(group["fraction"] * min(rows, cols)))
        k = m.abs().sum(other).topk(count).indices.unsqueeze(other)
        chosen = m.take_along_dim(k, dim)
        o = self.orthogonal(group, chosen)
        where = k.expand_as(chosen)
        u = torch.zeros_like(m).scatter(dim, where, o * scale(group["adjust_lr_fn"], m.shape))
        m = m.scatter(dim, where, chosen * group["momentum"])
        return u, m

r"""GaLore: the state of any optimizer, in the directions in which the gradient is largest.

Zhao et al., *GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection*, 2024,
Algorithm 2. <https://arxiv.org/abs/2403.03507>

$$
\begin{aligned}
P_t &= \text{the first } r \text{ left singular vectors of } g_t
    \text{ every } k \text{ steps, else } P_{t-1} \\
R_t &= P_t^\top g_t \\
N_t &= \text{the update of the rule for } R_t \\
u_t &= \alpha\, P_t N_t
\end{aligned}
$$

The gradients of a large matrix lie near a subspace of few dimensions, which changes slowly. The
rule sees them in a basis of that subspace. Of a matrix with m rows and n columns, m at most n, the
moments of Adam then take $2 r n$ numbers and the basis $m r$, in place of $2 m n$. Of a matrix with
more rows than columns, the right singular vectors $P$ are taken, $R = g P$ and
$u = \alpha N P^\top$. A step changes the weights only within the subspace, and the next subspace
goes on where the last one ended.

The state of the rule stays as it is when the basis changes, as in the paper: its numbers then
belong to other directions, and follow within some steps. The basis is found by a singular value
decomposition, which takes as long as many steps. $\alpha$ multiplies the learning rate, and not the
weight decay, which acts on the whole matrix.

A convolution is a matrix in a group with `matrices="flatten"`: its first dimension is the rows.
Parameters that are no matrices, and matrices whose shorter side is at most r, are stepped by the
rule as they are, without $\alpha$. So are those of groups with `galore_rank=None`, which embeddings
and output layers should have. The rank is that with which a state begins. Here the decay comes
before the step as in AdamW, while in the authors' code it comes after.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import hyper
from schuss.domains import above, or_none, whole
from schuss.transforms.low_rank import LowRank, is_wide, sizes

BASIS = "galore_basis"


class GaLore(LowRank):
    """Let the rule see gradients in their largest singular directions. Keeps that basis.

    Example:
        >>> import torch
        >>> from schuss import AdamW, GaLore
        >>> layer = torch.nn.Linear(256, 64, bias=False)
        >>> optimizer = AdamW(layer.parameters(), transforms=[GaLore(16)])
        >>> layer(torch.randn(256)).sum().backward()
        >>> optimizer.step()
        >>> optimizer.state[layer.weight]["exp_avg"].shape
        torch.Size([16, 256])
    """

    prefix = "galore"

    galore_rank: int | None = hyper(
        "r",
        "number of directions; None leaves the parameters of a group alone",
        or_none(whole(1)),
        default=128,
    )
    galore_every: int = hyper("k", "steps from one basis to the next", whole(1), default=200)
    galore_scale: float = hyper("α", "factor of the update", above(0), default=0.25)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Begin with zeros, which the first step replaces."""
        super().init_state(state, group, param)
        rank = self.rank_of(group, param)
        if rank is not None:
            state[BASIS] = param.new_zeros(min(sizes(param)), rank)

    def projection(self, state: State, group: Group, grad: Tensor, step: int) -> Tensor:
        """Return the basis, and find it anew if it is time."""
        p: Tensor = state[BASIS]
        if step % group["galore_every"] == 0:
            p.copy_(singular_vectors(grad, p.shape[-1]))
        return p

    def lifted(
        self, state: State, group: Group, p: Tensor, r: Tensor, n: Tensor, grad: Tensor
    ) -> Tensor:
        """Return the update in the directions of the basis, scaled."""
        n = n * group["galore_scale"]
        u: Tensor = p @ n if is_wide(grad) else n @ p.mT
        return u


def singular_vectors(matrix: Tensor, count: int) -> Tensor:
    """Return the singular vectors of the largest singular values, those of the shorter side."""
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found: Tensor = left[:, :count] if is_wide(matrix) else right[:count].mT
    return found

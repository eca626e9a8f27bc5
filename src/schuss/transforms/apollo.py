r"""APOLLO: learning rates for channels, from a random projection of the gradient.

Zhu et al., *APOLLO: SGD-like Memory, AdamW-level Performance*, 2024, Algorithm 1.
<https://arxiv.org/abs/2412.05270>

$$
\begin{aligned}
P &\sim \mathcal N(0, 1 / r), \quad \text{drawn anew every } k \text{ steps} \\
R_t &= P^\top g_t \\
N_t &= \text{the update of the rule for } R_t \\
s_j &= \lVert N_t[:, j] \rVert / \lVert R_t[:, j] \rVert \\
d_t &= g_t \operatorname{diag}(s) \\
d_t &\leftarrow d_t \min \bigl(1, \zeta \lVert d_{t-1} \rVert / \lVert d_t \rVert \bigr) \\
u_t &= \sqrt{\alpha}\, d_t
\end{aligned}
$$

Adam divides each number of the gradient by its own root mean square. For training it is enough
to do so for each *channel*, a column of a matrix that has fewer rows than columns, or a row
of another. How much Adam shortens or lengthens a channel can be told from few random combinations
of its numbers, which keep its length nearly. So Adam's moments are kept of r numbers for each
channel, and the step itself goes along the gradient. `APOLLOMini` keeps one, and takes one factor
for the matrix as a whole.

The state holds nothing of $P$, which is drawn again in every step, from the seed and the number of
changes so far. Matrices of one shape have the same. The step of a matrix is at most $\zeta$ times
as long as the last one, as in Fira, so that the first steps after a rest are no jumps; a length of
zero bounds nothing. As in the authors' code it is the root of `apollo_scale` that multiplies the
step.

The bias correction of the rule is part of $N$ here. In the authors' code it multiplies the learning
rate, and the bound is for steps without it, which differs while the correction does. Their 1e-8
beside the norms is left out, and the decay comes before the step, as in AdamW. Parameters that are
no matrices, matrices whose shorter side is at most r, and those of groups with `apollo_rank=None`
are stepped by the rule as they are. A convolution is a matrix in a group with `matrices="flatten"`.
The rank is that with which a state begins.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import hyper
from schuss.domains import above, at_least, one_of, or_none, whole
from schuss.transforms.low_rank import LowRank, is_wide

RANK, LENGTH = "apollo_rank", "apollo_length"


class APOLLO(LowRank):
    """Scale the channels of the gradient as the rule would. Keeps two numbers.

    Example:
        >>> import torch
        >>> from schuss import AdamW, APOLLO
        >>> layer = torch.nn.Linear(256, 64, bias=False)
        >>> optimizer = AdamW(layer.parameters(), lr=1e-2, transforms=[APOLLO(16)])
        >>> layer(torch.randn(256)).sum().backward()
        >>> optimizer.step()
        >>> optimizer.state[layer.weight]["exp_avg"].shape
        torch.Size([16, 256])
    """

    prefix = "apollo"

    apollo_rank: int | None = hyper(
        "r",
        "numbers that the rule sees of a channel; None leaves the parameters of a group alone",
        or_none(whole(1)),
        default=128,
    )
    apollo_every: int = hyper("k", "steps from one projection to the next", whole(1), default=200)
    apollo_scale: float = hyper("α", "square of the factor of the update", above(0), default=1.0)
    apollo_per: str = hyper(
        "s",
        "parts that have a factor of their own: each channel, or the tensor as a whole",
        one_of("channel", "tensor"),
        default="channel",
    )
    apollo_growth: float | None = hyper(
        "ζ",
        "largest ratio of the lengths of two steps, or None for no bound",
        or_none(at_least(1)),
        default=1.01,
    )
    apollo_seed: int = hyper("", "seed of the projections", whole(0), default=0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Begin without a last step."""
        super().init_state(state, group, param)
        rank = self.rank_of(group, param)
        if rank is not None:
            state[RANK] = rank
            state[LENGTH] = param.new_zeros((), dtype=wide_dtype(param))

    def projection(self, state: State, group: Group, grad: Tensor, step: int) -> Tensor:
        """Return the random matrix of this step."""
        # A whole number would be an option of the function, and each change another trace.
        changes = step // group["apollo_every"] * 1.0
        p: Tensor = gaussian(grad, state[RANK], group["apollo_seed"], changes)
        return p

    def lifted(
        self, state: State, group: Group, p: Tensor, r: Tensor, n: Tensor, grad: Tensor
    ) -> Tensor:
        """Return the gradient, with factors, and no longer than it may be."""
        dims: tuple[int, ...] = (-2, -1)
        if group["apollo_per"] == "channel":
            dims = (-2,) if is_wide(grad) else (-1,)
        before, after = (torch.linalg.vector_norm(x, dim=dims, keepdim=True) for x in (r, n))
        s = torch.where(before > 0, after / before, 0.0)
        d = grad * s
        if group["apollo_growth"] is not None:
            length, last = d.norm(), state[LENGTH]
            shorter = torch.where(last > 0, last * group["apollo_growth"] / length, 1.0)
            shorter = shorter.clamp(max=1.0)
            d = d * shorter
            state[LENGTH] = length * shorter
        u: Tensor = d * group["apollo_scale"] ** 0.5
        return u


class APOLLOMini(APOLLO):
    """APOLLO with one factor for each matrix, from a projection to rank 1. Keeps two numbers."""

    apollo_rank: int | None = hyper(
        "r",
        "numbers that the rule sees of a channel; None leaves the parameters of a group alone",
        or_none(whole(1)),
        default=1,
    )
    apollo_scale: float = hyper("α", "square of the factor of the update", above(0), default=128.0)
    apollo_per: str = hyper(
        "s",
        "parts that have a factor of their own: each channel, or the tensor as a whole",
        one_of("channel", "tensor"),
        default="tensor",
    )


def gaussian(like: Tensor, rank: int, seed: int, changes: float) -> Tensor:
    """Return a random matrix for the shorter side of a gradient, the same for each of a stack.

    Args:
        like: The gradient, or a stack of them.
        rank: The columns of the matrix, whose squares are 1/rank in the mean.
        seed: The seed of all.
        changes: The number of the matrix among those of this seed.
    """
    if has_torch_function_unary(like):
        return handle_torch_function(gaussian, (like,), like, rank, seed, changes)
    size = min(like.shape[-2:])
    if like.is_meta:
        return like.new_empty((*like.shape[:-2], size, rank))
    p = _drawn(size, rank, int(seed), int(changes), like.dtype, like.device)
    return p.expand(*like.shape[:-2], size, rank)


gaussian.takes_stacks = True  # type: ignore[attr-defined]  # so that engines call it for all matrices


@lru_cache(maxsize=1)  # matrices of one shape follow one another
def _drawn(
    size: int, rank: int, seed: int, changes: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    # torch's generators take no more of a seed than 32 bits.
    mixed = np.random.SeedSequence((seed, changes)).generate_state(1)[0]
    generator = torch.Generator(device=device).manual_seed(int(mixed))
    numbers = torch.empty((size, rank), dtype=torch.float32, device=device)
    return numbers.normal_(generator=generator).to(dtype) / math.sqrt(rank)

r"""NorMuon: Muon, with rows of equal size in the mean.

Li et al., *NorMuon: Making Muon more efficient and scalable*, 2025, Algorithm 1.
<https://arxiv.org/abs/2510.05491>

$$
\begin{aligned}
O_t &= \text{Muon's} \\
v_t &= \beta_2 v_{t-1} + (1 - \beta_2) \operatorname{mean}_{\text{columns}}(O_t^2) \\
\tilde O_t &= O_t / (\sqrt{v_t} + \epsilon) \\
u_t &= s\, \tilde O_t\, \lVert O_t \rVert_F / \lVert \tilde O_t \rVert_F
\end{aligned}
$$

The rows of an orthogonal matrix differ in size where there are more rows than columns, so that some
neurons would move far more than others. NorMuon divides each row by the root of the mean of its
squares over the steps. Then it gives the whole the norm that it had. The mean $v$ starts at zero
and is not corrected, because only the proportions of its rows matter. $\epsilon$ is $10^{-10}$.

As in the authors' code, rows are those of the matrix whatever its shape. Other packages take the
longer side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import decay, hyper, rate
from schuss.domains import DECAY_RATE
from schuss.matrices.scales import scale
from schuss.matrices.shapes import keyed, matrix_shapes
from schuss.optimizers.muon import Muon
from schuss.transforms.weight_decay import Decay

KEY = "second_momentum_buffer"
EPS = 1e-10
"""Of the authors' code, <https://github.com/zichongli5/NorMuon>."""


class NorMuon(Muon):
    """Muon with normalized rows. Keeps one buffer per parameter, and a number for each row."""

    lr: float | Tensor = rate("the size of the singular values of a step, over s", default=2e-2)
    weight_decay: Decay = decay("decoupled", default=0.0)
    beta2: float = hyper(
        "β₂", "decay rate of the mean squares of rows", DECAY_RATE, default=0.95, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both means at zero."""
        super().init_state(state, group, param)
        for index, (batch, rows, _) in enumerate(matrix_shapes(param.shape, group["matrices"])):
            zeros = param.new_zeros((batch, rows, 1), dtype=wide_dtype(param))
            state[keyed(KEY, index)] = zeros

    def direction(self, state: State, group: Group, x: Tensor, index: int) -> Tensor:
        """Return the orthogonal matrices with normalized rows, of the norm that they had."""
        o = self.orthogonal(group, x)
        v = state[keyed(KEY, index)]
        v.lerp_(o.square().mean(-1, keepdim=True), 1 - group["beta2"])
        o_tilde = o / (v.sqrt() + EPS)
        norms = (torch.linalg.matrix_norm(each, keepdim=True) for each in (o, o_tilde))
        before, after = norms
        return o_tilde * (scale(group["adjust_lr_fn"], x.shape) * before / (after + EPS))

r"""Muon: momentum, orthogonalized by the Newton-Schulz iteration.

Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024.
<https://kellerjordan.github.io/posts/muon>

$$
\begin{aligned}
B_t &= \mu B_{t-1} + (1 - \mu)\, g_t \\
\tilde B_t &= \begin{cases} \mu B_t + (1 - \mu)\, g_t & \text{Nesterov} \\
    B_t & \text{otherwise} \end{cases} \\
O_t &= U V^\top, \quad \text{where } U \Sigma V^\top = \tilde B_t \\
u_t &= s\, O_t
\end{aligned}
$$

The mean gradient of a hidden layer has a few large singular values and many small ones. With all of
them set to 1, the rare directions move as far as the frequent ones. The iteration computes $O_t$
approximately, with `ns_coefficients`, `ns_steps` and `precision`. The scale $s$ depends on the
shape of the matrix and on `adjust_lr_fn`. With `"match_rms_adamw"` (Liu et al., *Muon is Scalable
for LLM Training*, 2025, <https://arxiv.org/abs/2502.16982>) learning rate and decay may be AdamW's.

Muon is for the matrices of hidden layers. Embeddings, the last layer, and vectors such as biases
are trained by another optimizer, such as AdamW. `matrices` says how a convolution, a stack of
experts or a layer of several heads consists of matrices; the scale is that of each matrix.

Names and defaults are those of `torch.optim.Muon`, whose products are in bfloat16 too. The
iteration of matrices that are not square takes the Gram form, which has up to a third fewer
operations, and other rounding errors of the same size. `form="ordinary"` has the operations, and so
the path, of `torch.optim.Muon`. As there, `eps` lets matrices of a norm below it move less; with
`eps=0` every matrix that is not zero moves in full, however small its gradients are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, flag, hyper, rate
from schuss.domains import DECAY_RATE, at_least
from schuss.matrices.coefficients import COEFFICIENTS, JORDAN
from schuss.matrices.orthogonalization import FORM, PRECISION, STEPS, orthogonalized
from schuss.matrices.scales import SCALE, scale
from schuss.matrices.shapes import as_matrices, from_matrices
from schuss.matrixoptimizer import MatrixOptimizer
from schuss.transforms.weight_decay import Decay


class Muon(MatrixOptimizer):
    """Orthogonalized momentum. Keeps one buffer per parameter."""

    lr: float | Tensor = rate("the size of the singular values of a step, over s", default=1e-3)
    weight_decay: Decay = decay("decoupled", default=0.1)
    momentum: float = hyper("μ", "decay rate of the gradient's mean", DECAY_RATE, default=0.95)
    nesterov: bool = flag("let the gradient count once more in the direction", default=True)
    ns_coefficients: str | Sequence[float] | Sequence[Sequence[float]] = hyper(
        "a, b, c",
        "coefficients of the Newton-Schulz iteration, or the name of a set of them in "
        "schuss.matrices.SETS",
        COEFFICIENTS,
        default=JORDAN,
    )
    eps: float = hyper(
        "ε",
        "the least norm that a matrix is divided by before the iteration",
        at_least(0),
        default=1e-7,
    )
    ns_steps: int | None = hyper(
        "",
        "steps of the iteration; None is the number that belongs to a named set",
        STEPS,
        default=5,
    )
    adjust_lr_fn: str | None = hyper(
        "s",
        "the scale of a direction by its shape, see schuss.matrices.SCALES; None is original",
        SCALE,
        default=None,
    )
    precision: str = hyper(
        "",
        "precision of the iteration, see schuss.orthogonalized",
        PRECISION,
        default="bfloat16",
        kw_only=True,
    )
    form: str | None = hyper(
        "",
        "form of the iteration; None takes the Gram form where it has fewer operations",
        FORM,
        default=None,
        kw_only=True,
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean at zero."""
        state["momentum_buffer"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the orthogonal direction of each matrix, scaled."""
        mu = group["momentum"]
        b = state["momentum_buffer"]
        b.lerp_(grad, 1 - mu)
        b = grad.lerp(b, mu) if group["nesterov"] else b
        stacks = as_matrices(b, group["matrices"])
        directions = [self.direction(state, group, x, index) for index, x in enumerate(stacks)]
        return from_matrices(directions, param.shape, group["matrices"])

    def direction(self, state: State, group: Group, x: Tensor, index: int) -> Tensor:
        """Return $u_t$ of the stack of matrices with this index, of shape (batch, rows, cols)."""
        return self.orthogonal(group, x) * scale(group["adjust_lr_fn"], x.shape)

    def orthogonal(self, group: Group, x: Tensor) -> Tensor:
        """Return $O_t$ of a stack of matrices."""
        return orthogonalized(
            x,
            coefficients=group["ns_coefficients"],
            steps=group["ns_steps"],
            precision=group["precision"],
            form=group["form"],
            eps=group["eps"],
        )

r"""Adafactor: the second moment of a matrix from its rows and its columns.

Shazeer and Stern, *Adafactor: Adaptive Learning Rates with Sublinear Memory Cost*, 2018, Algorithms
4 and 5.
<https://arxiv.org/abs/1804.04235>

$$
\begin{aligned}
\beta_t &= 1 - t^{\tau} \\
R_t &= \beta_t R_{t-1} + (1 - \beta_t) \operatorname{mean}_{\text{columns}}(g_t^2) \\
C_t &= \beta_t C_{t-1} + (1 - \beta_t) \operatorname{mean}_{\text{rows}}(g_t^2) \\
V_t &= R_t C_t / \max\bigl(\operatorname{mean}(R_t), \epsilon_1\bigr) \\
U_t &= g_t / \max\bigl(\sqrt{V_t}, \epsilon_1\bigr) \\
s_t &= \max\bigl(\epsilon_2, \operatorname{RMS}(\theta_{t-1})\bigr)
    \min\bigl(1, 1 / (\gamma \sqrt t)\bigr) \\
u_t &= s_t\, U_t / \max\bigl(1, \operatorname{RMS}(U_t) / d\bigr) + \lambda\, \theta_{t-1}
\end{aligned}
$$

The product of a column and a row is the best estimate of a nonnegative matrix that knows no more
than its sums, and a matrix needs hardly any memory. A vector or a scalar keeps its second moment
whole. Of a tensor with more dimensions the last two are rows and columns, those before a batch.

A step is relative: a parameter moves by the share $\min(\gamma, 1 / \sqrt t)$ of its size. With
$\gamma = 0.01$, the default, the share is the paper's. Libraries differ in the rest. As in
`torch.optim`, $\epsilon_1$ is a lower bound, the decay is $\gamma\, \lambda\, \theta_{t-1}$, and
there is no momentum. With `eps_in_squares`, $\epsilon_1$ is added to the squares, as in the paper.
With `scale_decay`, the decay is $\gamma\, s_t\, \lambda\, \theta_{t-1}$. With `beta1`, a running
mean takes the scaled updates before the decay is added; $\gamma$ stays outside of the mean.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, buffer
from schuss.declarations import decay, flag, hyper, rate
from schuss.domains import (
    SHARE,
    above,
    at_least,
    at_most,
    or_none,
    tuple_of,
)
from schuss.factored import (
    Keys,
    averaged,
    begin_moment,
    check_real,
    clipped,
    moment,
    over_root,
    rms,
)
from schuss.optimizer import Optimizer
from schuss.scalar_math import larger
from schuss.transforms.weight_decay import Decay

VARIANCE = Keys("row_var", "col_var", "variance")
PAPER_EPS = 1e-30
"""ε₁ of Algorithm 6 in the paper, a summand of the squares."""


class Adafactor(Optimizer):
    """Adafactor.

    Keeps one row and one column per parameter, one buffer of vectors; one with beta1.
    """

    lr: float | Tensor = rate(
        "the largest share of its size by which a parameter moves", default=1e-2
    )
    beta2_decay: float = hyper(
        "τ",
        "exponent: the second moment takes the share t^τ of a new square",
        at_most(0),
        default=-0.8,
    )
    eps: tuple[float | None, float] = hyper(
        "ε₁, ε₂",
        "stabilizers, of the second moment and of the size of weights. For None ε₁ is "
        "the machine epsilon of the precision of the step, and 1e-30 in the squares",
        tuple_of(or_none(at_least(0)), at_least(0)),
        default=(None, 1e-3),
    )
    d: float = hyper(
        "",
        "the largest root of the mean square of an update, before it is scaled",
        above(0, unbounded=True),
        default=1.0,
    )
    weight_decay: Decay = decay("in update", default=0.0)
    beta1: float | None = hyper(
        "",
        "decay rate of a mean of updates, or None to have none",
        or_none(SHARE),
        default=None,
        kw_only=True,
    )
    relative_step: bool = flag(
        "let the share fall below γ, as 1/√t; if not, it is γ", default=True, kw_only=True
    )
    scale_parameter: bool = flag("multiply by the size of the weights", default=True, kw_only=True)
    eps_in_squares: bool = flag(
        "add ε₁ to the squares of the gradient", default=False, kw_only=True
    )
    scale_decay: bool = flag(
        "multiply the decay too by what multiplies the update", default=False, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the second moment at zero."""
        check_real(param)
        state["step"] = 0
        begin_moment(state, VARIANCE, param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient over the root of the second moment, clipped and scaled."""
        scale = self.scale(state, group, param)
        u = clipped(self.normalized(state, group, grad), group["d"]) * scale
        if group["beta1"] is not None:
            u = averaged(buffer(state, "exp_avg", grad), u, 1 - group["beta1"])
        decaying = param * scale if group["scale_decay"] else param
        return self.weight_decay.in_update(u, decaying, group)

    def normalized(self, state: State, group: Group, grad: Tensor) -> Tensor:
        """Return $U_t$, the gradient over the root of the second moment from rows and columns."""
        share = state["step"] ** group["beta2_decay"]
        eps = group["eps"][0]
        if group["eps_in_squares"]:
            square = grad.square() + (PAPER_EPS if eps is None else eps)
            return over_root(grad, moment(state, VARIANCE, square, share))
        eps = torch.finfo(grad.dtype).eps if eps is None else eps
        v, *others = moment(state, VARIANCE, grad.square(), share, floor=eps)
        for factor in others:
            v = v * factor
        return grad * v.clamp(min=eps**2).rsqrt()

    def scale(self, state: State, group: Group, param: Tensor) -> Tensor | float:
        """Return $s_t$, by which the update is multiplied besides the learning rate."""
        size = rms(param).clamp(min=group["eps"][1]) if group["scale_parameter"] else 1.0
        if not group["relative_step"]:
            return size
        excess = group["lr"] * state["step"] ** 0.5
        length: Tensor | float = size / larger(excess, 1.0)
        return length

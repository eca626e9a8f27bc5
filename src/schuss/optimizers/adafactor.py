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

A step is relative: the share $\min(\gamma, 1 / \sqrt t)$ of the size of the weights. With
$\gamma = 0.01$, the default, that is the paper's. Libraries differ in the rest. As in
`torch.optim`, $\epsilon_1$ is a lower bound, the decay is $\gamma\, \lambda\, \theta_{t-1}$, and
there is no momentum. The paper adds $\epsilon_1$ to the squares instead: that is `eps_in_squares`.
With `scale_decay` the decay is $\gamma\, s_t\, \lambda\, \theta_{t-1}$. With `beta1`, the scaled
updates become a mean before the decay is added; $\gamma$ stays outside of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State, buffer
from schuss.domains import (
    FLAG,
    SHARE,
    Domains,
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
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import decay_in_update

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


VARIANCE = Keys("row_var", "col_var", "variance")
PAPER_EPS = 1e-30
"""ε₁ of Algorithm 6 in the paper, a summand of the squares."""


class Adafactor(Optimizer):
    """Adafactor. Keeps one row and one column per parameter, one buffer of vectors; one with beta1.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0: the largest share of its size by which a parameter moves.
        beta2_decay: Exponent τ, at most 0: the second moment takes the share t^τ of a new square.
        eps: Stabilizers ε₁ and ε₂, at least 0, of the second moment and of the size of weights. For
            None ε₁ is the machine epsilon of the precision of the step, and 1e-30 in the squares.
        d: The largest root of the mean square of an update, above 0, before it is scaled.
        weight_decay: Coefficient λ, at least 0, of decay within the update, or a decay object,
            which does as it does in other optimizers.
        beta1: Decay rate of a mean of updates, in [0, 1], or None to have none.
        relative_step: Let the share fall below γ, as 1/√t; if not, it is γ.
        scale_parameter: Multiply by the size of the weights.
        eps_in_squares: Add ε₁ to the squares of the gradient.
        scale_decay: Multiply the decay too by what multiplies the update.
        **options: See `schuss.Options`.
    """

    domains = Domains(
        beta2_decay=at_most(0),
        eps=tuple_of(or_none(at_least(0)), at_least(0)),
        d=above(0, unbounded=True),
        beta1=or_none(SHARE),
        relative_step=FLAG,
        scale_parameter=FLAG,
        eps_in_squares=FLAG,
        scale_decay=FLAG,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float | WeightDecay = 0.0,
        *,
        beta1: float | None = None,
        relative_step: bool = True,
        scale_parameter: bool = True,
        eps_in_squares: bool = False,
        scale_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "beta1": beta1,
            "relative_step": relative_step,
            "scale_parameter": scale_parameter,
            "eps_in_squares": eps_in_squares,
            "scale_decay": scale_decay,
        }
        super().__init__(params, defaults, weight_decay=decay_in_update(weight_decay), **options)

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
        """Return the gradient over the root of the second moment."""
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
        """Return how long an update of size 1 is to be, over the learning rate."""
        size = rms(param).clamp(min=group["eps"][1]) if group["scale_parameter"] else 1.0
        if not group["relative_step"]:
            return size
        excess = group["lr"] * state["step"] ** 0.5
        return size / (excess.clamp(min=1) if isinstance(excess, Tensor) else max(excess, 1.0))

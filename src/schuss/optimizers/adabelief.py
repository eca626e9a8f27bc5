r"""AdaBelief: step far where the gradient is as expected.

Zhuang et al., *AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients*, 2020,
Algorithm 2.
<https://arxiv.org/abs/2010.07468>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
s_t &= \beta_2 s_{t-1} + (1 - \beta_2)\, (g_t - m_t)^2 + \epsilon \\
u_t &= \text{that of RAdam, or of Adam, with } v_t = s_t
\end{aligned}
$$

Adam divides by the root of $v_t$, the mean square of the gradient. AdaBelief divides by the root of
$s_t$, the mean square of the distance between the gradient and its own mean $m_t$, so that a large
but steady gradient makes large steps.
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import flag, hyper, stabilizer
from schuss.domains import FLAG, or_none
from schuss.optimizers.adam import Adam
from schuss.optimizers.radam import RAdam


class AdaBelief(RAdam):
    """AdaBelief. Keeps two buffers per parameter, three with `amsgrad`."""

    eps: float = stabilizer(
        "added to the second moment in every step, and to its root", default=1e-16
    )
    decoupled_weight_decay: bool = flag(
        "decay the weight itself, as `AdamW`: on by default, as in the authors' package",
        default=True,
    )
    optimized_update: bool | None = hyper(
        "",
        "add ε before the correction of the bias. None does what the authors' package "
        "does: yes if rectified, else no",
        or_none(FLAG),
        default=None,
        kw_only=True,
    )
    rectify: bool = flag(
        "rectify the update, as RAdam does; False is the algorithm of the paper, Adam's update",
        default=True,
        kw_only=True,
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both moments at zero."""
        super().init_state(state, group, param)
        state["exp_avg_var"] = state.pop("exp_avg_sq")

    def moments(self, state: State, group: Group, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Take the gradient into its mean and its variance, and return them."""
        beta1, beta2 = group["betas"]
        m, s = state["exp_avg"], state["exp_avg_var"]
        m.lerp_(grad, 1 - beta1)
        surprise = grad - m
        s.mul_(beta2).addcmul_(surprise, surprise, value=1 - beta2).add_(group["eps"])
        return m, self.running_max(state, "max_exp_avg_var", s) if group["amsgrad"] else s

    def direction(self, state: State, group: Group, m: Tensor, v: Tensor) -> Tensor:
        """Return the update of RAdam, or that of Adam."""
        rectify = group["rectify"]
        if group["optimized_update"] is None:
            group = {**group, "optimized_update": rectify}
        if rectify:
            return super().direction(state, group, m, v)
        return Adam.direction(self, state, group, m, v)

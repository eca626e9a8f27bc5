r"""MARS: variance reduction, then AdamW.

Yuan et al., *MARS: Unleashing the Power of Variance Reduction for Training Large Models*, 2024,
MARS-AdamW, in its approximate form.
<https://arxiv.org/abs/2411.10438>

$$
\begin{aligned}
c_t &= g_t + \kappa\, \frac{\beta_1}{1 - \beta_1}\, (g_t - g_{t-1}), \qquad g_0 = 0 \\
\tilde c_t &= c_t / \max(1, \lVert c_t \rVert_2) \\
u_t &= \text{that of AdamW for the gradient } \tilde c_t
\end{aligned}
$$

The difference to the last gradient corrects the mean for where the parameters have gone since. The
exact form takes the old gradient on the new batch, a second backward pass. $\kappa$ is the paper's
$\gamma$. The gradient before the first is zero in the authors' code,
<https://github.com/AGI-Arena/MARS>, and here; timm takes the first gradient as it is.

Vectors and scalars take AdamW, with decay rates, a learning rate and a decay of their own. In the
authors' code so do tensors of more than two dimensions, the kernels of convolutions; the option
`matrices_only` does the same. Without it these are corrected too, as in timm. The authors' code
decays vectors by 0.1 by default, and matrices not at all; here both have the same coefficient.
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State, buffer
from schuss.declarations import decay, fixed, flag, hyper, moment_rates, rate
from schuss.domains import at_least, decay_rates, or_none
from schuss.optimizers.adam import Adam
from schuss.transforms.weight_decay import Decay


class MARS(Adam):
    """MARS-AdamW. Keeps three buffers per parameter, two for vectors."""

    lr: float | Tensor = rate(default=3e-3)
    betas: tuple[float, float] = moment_rates(default=(0.95, 0.99))
    weight_decay: Decay = decay("decoupled", default=0.0)
    kappa: float = hyper(
        "κ",
        "strength of the correction; 0 is AdamW of clipped gradients",
        at_least(0),
        default=0.025,
        kw_only=True,
    )
    optimize_1d: bool = flag("correct the gradients of all parameters", default=False, kw_only=True)
    betas_1d: tuple[float, float] = hyper(
        "",
        "decay rates for parameters whose gradients are not corrected",
        decay_rates(2),
        default=(0.9, 0.95),
        kw_only=True,
    )
    lr_1d_factor: float = hyper(
        "γ",
        "learning rate for these over: the authors' `lr_1d` over `lr`",
        at_least(0),
        default=1.0,
        kw_only=True,
    )
    weight_decay_1d: float | None = hyper(
        "", "coefficient for these, or None for λ", or_none(at_least(0)), default=None, kw_only=True
    )
    matrices_only: bool = flag(
        "correct the gradients of matrices, and not of tensors of more dimensions",
        default=False,
        kw_only=True,
    )
    amsgrad: bool = fixed(default=False)
    decoupled_weight_decay: bool = fixed(default=True)
    optimized_update: bool | None = fixed(default=False)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the moments at zero."""
        super().init_state(state, group, param)
        state["dims"] = str(param.dim())  # a rule sees one more of complex parameters

    def group_for(self, state: State, group: Group, param: Tensor) -> Group:
        """Return the hyper-parameters, others for parameters whose gradient is not corrected."""
        if self.corrects(state, group):
            return group
        own = {"betas": group["betas_1d"], "lr": group["lr"] * group["lr_1d_factor"]}
        if group["weight_decay_1d"] is not None:
            own["weight_decay"] = group["weight_decay_1d"]
        return {**group, **own}

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the update of AdamW, for the corrected gradient if there is one."""
        if not self.corrects(state, group):
            return super().update(state, group, grad, param)
        beta1 = group["betas"][0]
        strength = group["kappa"] * beta1 / (1 - beta1)
        last = buffer(state, "last_grad", grad)
        c = grad.add(grad - last, alpha=strength)
        last.copy_(grad)
        return super().update(state, group, c / c.norm().clamp(min=1), param)

    def corrects(self, state: State, group: Group) -> bool:
        """Tell whether the gradient of a parameter is corrected."""
        is_matrix = state["dims"] == "2"
        is_more = state["dims"] not in ("0", "1", "2") and not group["matrices_only"]
        return is_matrix or is_more or bool(group["optimize_1d"])

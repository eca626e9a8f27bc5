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
$\gamma$. That the gradient before the first is zero is from the authors' code,
<https://github.com/AGI-Arena/MARS>; timm takes the first gradient as it is.

Vectors and scalars take AdamW, with decay rates, a learning rate and a decay of their own. In the
authors' code so do tensors of more than two dimensions, the kernels of convolutions: that is
`matrices_only`, while timm corrects all of these, as is done here otherwise. Theirs decays vectors
by 0.1 unless told otherwise, and matrices not at all; here both have the same coefficient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from schuss.contract import Group, State, buffer
from schuss.domains import FLAG, Domains, at_least, decay_rates, or_none
from schuss.optimizers.adam import Adam
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class MARS(Adam):
    """MARS-AdamW. Keeps three buffers per parameter, two for vectors.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        betas: Decay rates β₁ and β₂ of the first and the second moment, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the root of the second moment.
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        kappa: Strength κ of the correction, at least 0; 0 is AdamW of clipped gradients.
        optimize_1d: Correct the gradients of all parameters.
        betas_1d: Decay rates for parameters whose gradients are not corrected.
        lr_1d_factor: Learning rate for these over γ, at least 0: the authors' `lr_1d` over `lr`.
        weight_decay_1d: Coefficient for these, at least 0, or None for λ.
        matrices_only: Correct the gradients of matrices, and not of tensors of more dimensions.
        **options: See `schuss.Options`.
    """

    domains = Domains(
        kappa=at_least(0),
        optimize_1d=FLAG,
        betas_1d=decay_rates(2),
        lr_1d_factor=at_least(0),
        weight_decay_1d=or_none(at_least(0)),
        matrices_only=FLAG,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 3e-3,
        betas: tuple[float, float] = (0.95, 0.99),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        kappa: float = 0.025,
        optimize_1d: bool = False,
        betas_1d: tuple[float, float] = (0.9, 0.95),
        lr_1d_factor: float = 1.0,
        weight_decay_1d: float | None = None,
        matrices_only: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own = {
            "kappa": kappa,
            "optimize_1d": optimize_1d,
            "betas_1d": betas_1d,
            "lr_1d_factor": lr_1d_factor,
            "weight_decay_1d": weight_decay_1d,
            "matrices_only": matrices_only,
        }
        decay = as_weight_decay(weight_decay, decoupled=True)
        super().__init__(params, lr, betas, eps, decay, defaults=own, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the moments at zero."""
        super().init_state(state, group, param)
        state["dims"] = str(param.dim())  # a rule sees one more of complex parameters

    def group_for(self, state: State, group: Group, param: Tensor) -> Group:
        """Return other hyper-parameters for what is not corrected."""
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

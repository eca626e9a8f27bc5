r"""AMSGrad: Adam whose step sizes never grow back.

Reddi, Kale and Kumar, *On the Convergence of Adam and Beyond*, 2018, Algorithm 2.
<https://arxiv.org/abs/1904.09237>

$$
\begin{aligned}
v^{\max}_t &= \max\bigl(v^{\max}_{t-1},\, v_t\bigr) \\
u_t &= \hat m_t / \Bigl(\sqrt{v^{\max}_t / (1 - \beta_2^t)} + \epsilon\Bigr)
\end{aligned}
$$

Adam forgets a large, rare gradient after about $1 / (1 - \beta_2)$ steps, which can make it diverge
on convex problems. The paper does not correct the bias; here, as in `torch.optim`, it is corrected
after the maximum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.optimizers.adam import Adam

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options
    from schuss.transforms import WeightDecay


class AMSGrad(Adam):
    """Adam with `amsgrad` on. Keeps three buffers per parameter.

    Takes the arguments of `Adam`. A group with `amsgrad=False` is Adam's.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        amsgrad: bool = True,
        *,
        decoupled_weight_decay: bool = False,
        optimized_update: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            decoupled_weight_decay=decoupled_weight_decay,
            optimized_update=optimized_update,
            **options,
        )

r"""NAdamW: AdamW with Nesterov's momentum, and no schedule for it.

Dozat, *Incorporating Nesterov Momentum into Adam*, 2016, in the form that the AlgoPerf benchmark
takes as its baseline: Dahl et al., *Benchmarking Neural Network Training Algorithms*, 2023.
<https://arxiv.org/abs/2306.07179>

$$
\begin{aligned}
m_t, v_t &= \text{as in Adam} \\
\bar m_t &= \beta_1 m_t + (1 - \beta_1)\, g_t \\
u_t &= \frac{\bar m_t}{1 - \beta_1^t} \Big/ \biggl(\sqrt{\frac{v_t}{1 - \beta_2^t}} +
    \epsilon\biggr)
\end{aligned}
$$

`NAdam` is `torch.optim`'s, whose momentum follows a schedule, and which corrects its bias
otherwise: the two are not the same for any setting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from schuss.contract import Group, State
from schuss.optimizers.adam import Adam
from schuss.transforms import WeightDecay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class NAdamW(Adam):
    """NAdamW. Keeps two buffers per parameter, three with `amsgrad`.

    Takes the arguments of `Adam`, but decays the weights themselves by default.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 1e-2,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = True,
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

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the update of Adam, with the gradient taken into the mean once more."""
        m, v = self.moments(state, group, grad)
        ahead = m.lerp(grad, 1 - group["betas"][0])
        return self.direction(state, group, ahead, v)

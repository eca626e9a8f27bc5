r"""AdamC: AdamW with corrected weight decay.

Defazio, *Why Gradients Rapidly Increase Near the End of Training*, 2025, equation 8.
<https://arxiv.org/abs/2506.02285>

$$
\theta_t = \theta_{t-1} - \gamma_t\, \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon} -
    \frac{\gamma_t^2}{\gamma_{\max}}\, \lambda\, \theta_{t-1}
$$

The paper corrects the layers that normalization follows, and decays the others as AdamW: put those
into a group with `max_lr` as large as its learning rate, or use `CorrectedDecay` in any other
optimizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from schuss.optimizers.adam import Adam
from schuss.transforms import CorrectedDecay, WeightDecay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class AdamC(Adam):
    """AdamC. Keeps two buffers per parameter, three with `amsgrad`.

    Takes the arguments of `AdamW`, and:

    Args:
        max_lr: The largest learning rate of the schedule, above 0; None for `initial_lr`, which
            schedulers put into the groups.
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
        max_lr: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        if not isinstance(weight_decay, WeightDecay):
            weight_decay = CorrectedDecay(weight_decay, max_lr)
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **options)

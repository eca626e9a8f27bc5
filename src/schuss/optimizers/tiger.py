r"""Tiger: the sign of the momentum, tuned for memory.

Su, *Tiger: A Tight-fisted Optimizer*, 2023.
<https://github.com/bojone/tiger>

$$
\begin{aligned}
m_t &= \beta\, m_{t-1} + (1 - \beta)\, g_t \\
u_t &= \operatorname{sign}(m_t)
\end{aligned}
$$

That is `Signum` with other defaults: a longer mean, which is Lion's two decay rates made one, and
decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from schuss.contract import Group
from schuss.optimizers.signum import Signum
from schuss.transforms import WeightDecay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class Tiger(Signum):
    """Tiger. Keeps one buffer per parameter.

    Takes the arguments of `Signum`, with `beta` in place of `momentum`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        beta: float = 0.965,
        weight_decay: float | WeightDecay = 0.01,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, lr, beta, weight_decay, **options)

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group, and what they are called."""
        super().check_group(group)
        if "beta" in group:
            raise ValueError("the parameter group has 'beta'; it is called 'momentum' there")

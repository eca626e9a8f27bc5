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

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, flag
from schuss.optimizers.adam import Adam
from schuss.transforms.weight_decay import Decay


class NAdamW(Adam):
    """NAdamW. Keeps two buffers per parameter, three with `amsgrad`."""

    weight_decay: Decay = decay(default=1e-2)
    decoupled_weight_decay: bool = flag(
        "let a mere coefficient λ decay the weight itself, as `AdamW`",
        default=True,
        kw_only=True,
    )

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the update of Adam, with the gradient taken into the mean once more."""
        m, v = self.moments(state, group, grad)
        ahead = m.lerp(grad, 1 - group["betas"][0])
        return self.direction(state, group, ahead, v)

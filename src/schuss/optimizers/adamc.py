r"""AdamC: AdamW with corrected weight decay.

Defazio, *Why Gradients Rapidly Increase Near the End of Training*, 2025, equation 8.
<https://arxiv.org/abs/2506.02285>

$$
\theta_t = \theta_{t-1} - \gamma_t\, \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon} -
    \frac{\gamma_t^2}{\gamma_{\max}}\, \lambda\, \theta_{t-1}
$$

The paper corrects the decay of layers that are followed by a normalization, and decays the other
layers as AdamW does: put the others into a group with `max_lr` as large as its learning rate.
`CorrectedDecay` gives the same decay to any other optimizer.
"""

from __future__ import annotations

from typing import Any

from schuss.declarations import decay, fixed, hyper
from schuss.domains import above, or_none
from schuss.optimizers.adam import Adam
from schuss.transforms.weight_decay import CorrectedDecay, Decay, WeightDecay


class AdamC(Adam):
    """AdamC. Keeps two buffers per parameter, three with `amsgrad`."""

    weight_decay: Decay = decay(default=1e-2)
    max_lr: float | None = hyper(
        "",
        "the largest learning rate of the schedule; None for `initial_lr`, which "
        "schedulers put into the groups",
        or_none(above(0)),
        default=None,
        kw_only=True,
    )
    decoupled_weight_decay: bool = fixed(default=False)

    def decay_object(self, values: dict[str, Any]) -> WeightDecay:
        """Return a `CorrectedDecay`, unless another decay object is given."""
        max_lr, weight_decay = values.pop("max_lr"), values["weight_decay"]
        if not isinstance(weight_decay, WeightDecay):
            values["weight_decay"] = CorrectedDecay(weight_decay, max_lr)
        return super().decay_object(values)

r"""AdamW: Adam with decoupled weight decay.

Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2017, Algorithm 2.
<https://arxiv.org/abs/1711.05101>

$$
\begin{aligned}
\theta_{t-1} &\leftarrow (1 - \gamma \lambda)\, \theta_{t-1} \\
u_t &= \text{Adam's}
\end{aligned}
$$

A decay that is added to the gradient is divided by $\sqrt{\hat v_t}$ with the rest of the gradient,
so that weights with large gradients decay less. A decoupled decay acts on the weights
themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.declarations import decay, fixed
from schuss.optimizers.adam import Adam
from schuss.transforms.weight_decay import Decay

if TYPE_CHECKING:
    from schuss.contract import Group


class AdamW(Adam):
    """Adam with decoupled weight decay. Keeps two buffers per parameter, three with `amsgrad`."""

    weight_decay: Decay = decay("decoupled", default=1e-2)
    decoupled_weight_decay: bool = fixed(default=True)

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group, and that its decay is decoupled."""
        super().check_group(group)
        if not group["decoupled_weight_decay"]:
            raise ValueError(
                "AdamW decouples its weight decay; for decoupled_weight_decay=False use Adam"
            )

    def read_group(self, saved: Group) -> Group:
        """Return a group of a checkpoint; Adam's is decoupled from here on, as in `torch.optim`."""
        return {**saved, "decoupled_weight_decay": True}

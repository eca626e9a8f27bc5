r"""Decay towards the start: stay near the pretrained weights.

Li, Grandvalet and Davoine, *Explicit Inductive Bias for Transfer Learning with Convolutional
Networks*, 2018, equation 2. <https://arxiv.org/abs/1802.01483>

$$
u \leftarrow u + \lambda\, (\theta - \theta_0)
$$

Weight decay forgets what was learned before; this forgets what is learned now. It is decoupled: it
does not go through the moments of the optimizer, and follows the learning rate.
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import hyper
from schuss.domains import at_least
from schuss.transforms.transform import Transform


class DecayToStart(Transform):
    """Pull every weight back to where it was at its first step. Keeps one buffer per parameter."""

    decay_to_start: float = hyper(
        "λ", "coefficient, multiplied by the learning rate", at_least(0), default=0.0
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Remember where the parameter is."""
        state["start_param"] = param.detach().clone()

    def update(
        self, state: State, group: Group, update: Tensor, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update, with the way back added."""
        return update.add(param - state["start_param"], alpha=group["decay_to_start"])

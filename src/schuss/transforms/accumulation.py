r"""Accumulation: one step for several batches.

$$
g \leftarrow \frac1k \sum_{i=1}^{k} g_i
$$

The loop of training stays as it is, with `zero_grad`, `backward` and `step` for each batch; every
k-th `step` moves the parameters, along the mean of the gradients. In `p.grad` the gradients would
be added up in the precision of the parameter. Here they are added up in float32 at least.

Transforms that come before it in the list act on every gradient, those after it on the mean. A
gradient that is refused by one before, or in which a `GradScaler` finds an infinity, is not held:
the call is as if it had not been made.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import hyper, required
from schuss.domains import whole
from schuss.transforms.transform import Transform


class Accumulate(Transform):
    """Step once for every k calls of `step`. Keeps one buffer per parameter.

    The number of calls since the last step is the hyper-parameter `accumulated_calls` of every
    group, so that it is saved. Schedulers count calls as they are told.
    """

    accumulate_every: int = required(
        "k", "number of calls for a step, the same in all groups", whole(1)
    )
    accumulated_calls: int = hyper(
        "", "number of calls to begin the count with", whole(0), default=0
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Put a count of 0, and a sum of gradients that is zero, into the state."""
        state["accumulated_grads"] = 0
        state["accumulated"] = torch.zeros_like(param, dtype=wide_dtype(param))

    def holds_back(self, groups: Sequence[Group]) -> bool:
        """Tell whether this call is not the k-th."""
        every = {group["accumulate_every"] for group in groups}
        if len(every) > 1:
            raise ValueError(
                f"the parameter groups have accumulate_every {sorted(every)}; it must be the same "
                "in all groups, because a step is of all parameters"
            )
        return bool(groups[0]["accumulated_calls"] + 1 < groups[0]["accumulate_every"])

    def held(self, groups: Sequence[Group]) -> None:
        """Count a call of `step` in `accumulated_calls` of every group."""
        for group in groups:
            group["accumulated_calls"] += 1

    def stepped(self, groups: Sequence[Group]) -> None:
        """Set `accumulated_calls` of every group to 0, because the step is over."""
        for group in groups:
            group["accumulated_calls"] = 0

    def hold(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Add the gradient to the sum of those held back, in float32 at least."""
        state["accumulated_grads"] += 1
        state["accumulated"].add_(grad)

    def is_due(self, state: State) -> bool:
        """Tell whether any gradient is held back."""
        return bool(state.get("accumulated_grads", 0))

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the mean of all gradients since the last step."""
        mean: Tensor = (state["accumulated"] + grad) / (group["accumulated_calls"] + 1)
        self.skipped(state, group, grad, param)
        return mean

    def skipped(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Set the count and the sum of gradients to zero."""
        state["accumulated_grads"] = 0
        state["accumulated"].zero_()

r"""SkipNonFinite: leave out a step whose gradients are not numbers.

One overflow in one layer is enough to make every weight NaN. A step in which a gradient has an
infinity or a NaN is left out for all parameters: neither weights nor state nor step counts change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import hyper
from schuss.domains import whole
from schuss.transforms.transform import Transform


class SkipNonFinite(Transform):
    """Skip the step if any gradient is not finite, and count how often.

    The number of steps skipped so far is the hyper-parameter `skipped_steps` of every group, so
    that it is saved. One pass over the gradients is needed before the step; it is shared with
    `ClipByGlobalNorm`. On a GPU with kernels the host does not wait for the verdict, and the step
    is counted before the next one. It cannot be traced by `torch.compile`.
    """

    skipped_steps: int = hyper("", "number of steps to begin the count with", whole(0), default=0)

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return zero if all elements are finite, else NaN."""
        return {"not_finite": (grad * 0).sum()}

    def refusal(self, sums: Mapping[str, Tensor]) -> Tensor | None:
        """Return the sum over all gradients, which is zero if all are finite."""
        return sums.get("not_finite")

    def refused(self, groups: Sequence[Group]) -> None:
        """Count a step that was left out."""
        for group in groups:
            group["skipped_steps"] += 1

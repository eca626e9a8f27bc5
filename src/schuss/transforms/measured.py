"""The measurements that transforms make of a parameter before a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from schuss.contract import Group, Measure, State
from schuss.transforms.transform import Transform

HELD_ONLY = "held_only"
"""A key in the state of a parameter that has no gradient now, but had one that was held back."""


class Measured:
    """The measurements of one pass, called together like a `Measure`."""

    def __init__(
        self, transforms: Sequence[Transform], place: int, measures: Sequence[tuple[int, Measure]]
    ) -> None:
        self._transforms = transforms
        self._place = place
        self._measures = measures

    def __call__(
        self, state: State, group: Group, grad: Tensor, param: Tensor
    ) -> dict[str, Tensor]:
        """Return the numbers of one parameter that all transforms of the pass measure."""
        found: dict[str, Tensor] = {}
        # Transforms are applied again for the step, and must find their state as it was.
        state = {key: _copied(value) for key, value in state.items()}
        param = param.clone() if self._measures[-1][0] else param
        place = self._place if state.pop(HELD_ONLY, False) else 0
        for until, measure in self._measures:
            for transform in self._transforms[place:until]:
                grad = transform.gradient(state, group, grad, param)
            place = max(place, until)
            found.update(measure(state, group, grad, param))
        return found


def _copied(value: Any) -> Any:
    return value if isinstance(value, (int, float, str, type(None))) else value.clone()

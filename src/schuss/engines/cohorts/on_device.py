"""Numbers of states that are tensors on a device, so that a graph can repeat the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.engines.capturing import refusing_reads
from schuss.engines.errors import Request, UnfusableError
from schuss.engines.tracing.tracer import Trace
from schuss.engines.tracing.unknowns import Unknowns, is_unknown
from schuss.engines.tracing.waiting import check_capturable


class NumbersOnDevice:
    """Traces a rule whose numbers are on a device, and puts what it leaves into the states.

    A kernel computes all numbers at once, those of each parameter from its own. Where no kernel can
    (the rule makes a tensor of its own, say), torch computes those of one parameter, operation by
    operation, for all that have the same.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._is_for_kernels = True

    def traced(
        self,
        tracing: Callable[[State, Group, Any], Trace],
        numbers: State,
        group: Group,
        scale: float | Tensor | None,
        *,
        measures: bool,
    ) -> Trace:
        """Return what a rule does.

        Args:
            tracing: Traces it, given the numbers of a state, a group and the scale of gradients.
            numbers: The numbers of a state.
            group: The group.
            scale: The scale of gradients.
            measures: Whether the rule leaves what is measured, and no state.
        """
        found = None
        if self._is_for_kernels:
            try:
                unknowns = Unknowns(numbers, (group, scale), self._device)
                found = tracing(unknowns.numbers, unknowns.seen(group), unknowns.seen(scale))
                leaves_unknowns = any(map(is_unknown, found.scalars.values()))
                computed = None if measures and leaves_unknowns else unknowns.computed(found)
            except Request:
                raise
            except Exception:  # noqa: BLE001  # a rule raises what it likes, and does so below again
                found = None
            if found is not None and not (measures and leaves_unknowns):
                check_capturable(found)
                return found._replace(on_device={}, computed=computed)
        with refusing_reads():
            found = tracing(cloned(numbers), group, scale)
        check_capturable(found)
        if found.cut is not None and found.on_device:
            raise UnfusableError("it works on whole tensors, and no kernel computes its numbers")
        self._is_for_kernels = measures and self._is_for_kernels
        return found

    def take(
        self, states: Sequence[State], before: State, after: State, skip: Tensor | None
    ) -> bool:
        """Write what a step has left into the tensors of states, which stay the same ones.

        Args:
            states: The states.
            before: The numbers that were there.
            after: The numbers that the rule has left.
            skip: A number on the device that is not 0 if the step was left out.

        Returns:
            Whether that can be done. If not, nothing has been written.
        """
        if not self.decides(states, before, after):
            return False
        for key, value in after.items():
            kept: list[Any] = [state.get(key) for state in states]
            if is_unknown(value):  # which a kernel has written
                torch.autograd.graph.increment_version(kept)
            elif isinstance(value, Tensor):
                new = value if skip is None else torch.where(skip == 0, value, kept[0])
                torch._foreach_copy_(kept, [new] * len(kept))
        return True

    def decides(self, states: Sequence[State], before: State, after: State) -> bool:
        """Tell whether the device alone decides what a step leaves, in tensors that are kept.

        Args:
            states: The states.
            before: The numbers that were there.
            after: The numbers that the rule has left. One of Python would change in any case.
        """
        return all(
            all(isinstance(state.get(key), Tensor) for state in states)
            if isinstance(value, Tensor)
            else value == before.get(key)
            for key, value in after.items()
        )

    def others(self, after: State) -> State:
        """Return the numbers that a step has left, without those that a kernel has written."""
        return {key: x for key, x in after.items() if not is_unknown(x)}


def is_of_each(after: State) -> bool:
    """Tell whether each parameter has got its own numbers."""
    return not any(isinstance(x, Tensor) and not is_unknown(x) for x in after.values())


def cloned(numbers: State) -> State:
    """Return the numbers of a state, of which a rule may write to the tensors."""
    return {k: v.clone() if isinstance(v, Tensor) else v for k, v in numbers.items()}

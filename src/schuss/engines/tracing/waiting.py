"""Functions of whole tensors that no graph can capture, because the host takes part in them.

A decomposition reads from the device whether it has succeeded. A number that only the device knows
cannot be an argument of a function of torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schuss.engines.errors import UnfusableError
from schuss.engines.program.stages import Argument
from schuss.engines.tracing.failing import may_fail
from schuss.engines.tracing.tracer import Trace


def check_capturable(trace: Trace) -> None:
    """Refuse a rule on whole tensors that a graph cannot capture.

    Args:
        trace: The operations of the rule; those of its numbers `on_device` are not known.

    Raises:
        UnfusableError: One of its functions waits for the device, or takes such a number.
    """
    for call in trace.cut.tangle.calls if trace.cut else ():
        name = f"torch.{call.function.__name__.strip('_')}"
        if may_fail(call.function):
            raise UnfusableError(
                f"a graph cannot capture {name}, which waits for the device to see if it has failed"
            )
        if any(number in trace.on_device for number in _arguments(call.args, call.kwargs)):
            raise UnfusableError(
                f"a graph cannot capture {name} with a number that changes from step to step"
            )


def _arguments(*trees: Any) -> Iterator[int]:
    """Yield the positions of the numbers among the arguments of a call."""
    for tree in trees:
        if type(tree) is Argument:
            yield tree.position
        elif isinstance(tree, (list, tuple)):
            yield from _arguments(*tree)
        elif isinstance(tree, dict):
            yield from _arguments(*tree.values())

"""Steps that a CUDA graph can capture: their numbers are tensors of the device, step counts too.

A graph repeats what the device did, without Python. So no number may go through Python: a count is
a tensor that the device counts up, and a rule that asks for its value cannot be captured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from schuss.contract import State
from schuss.engines.errors import NumberReadError, UnfusableError
from schuss.storage.numbers import NUMBER


def put_on_device(state: State, device: torch.device) -> None:
    """Replace the numbers of a state by tensors of one number, in float64, on a device."""
    for key, value in state.items():
        if type(value) in (int, float):
            state[key] = torch.tensor(float(value), dtype=NUMBER, device=device)
        elif isinstance(value, Tensor) and not value.dim() and value.device != device:
            state[key] = value.to(device, NUMBER)


def captured_device() -> torch.device | None:
    """Return the GPU whose work a graph captures now, or None."""
    if torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():
        return torch.device("cuda", torch.cuda.current_device())
    return None


def check_may_wait() -> None:
    """Refuse to ask a device whether a step is taken while a graph captures the step.

    Raises:
        RuntimeError: One does, and would not ask again.
    """
    if captured_device() is not None:
        raise RuntimeError(
            "a graph captures a step that a GradScaler may leave out, and Python would have to ask "
            "it, because the rule keeps whole tensors or the step makes new state; take the step "
            "outside of the graph"
        )


class _RefusingReads(TorchDispatchMode):
    """Raises an error where a number of a tensor is asked for."""

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise NumberReadError
        return func(*args, **(kwargs or {}))


def refuse_draw() -> NoReturn:
    """Refuse to draw a random number, which would be the same one in each repetition.

    Raises:
        UnfusableError: Always.
    """
    raise UnfusableError("the rule draws random numbers, which a graph would repeat")


def refusing_reads() -> TorchDispatchMode:
    """Return a context in which a number of a tensor cannot be read.

    Raises:
        NumberReadError: One was asked for within; names the line of the rule.
    """
    return _RefusingReads()  # type: ignore[no-untyped-call]

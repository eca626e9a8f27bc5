"""The way of the parameters of an optimizer through a short training, with odd memory and edits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

import schuss
from tests.conformance.trajectories import ONE_RATE, Training, trajectory
from tests.engines.devices.gpu.options import OPTIONS

SHAPES = ((5, 3), (7,), (), (2, 3, 4, 4), (1, 1), (301,), (0, 3))
"""Among them one of three chunks for the interpreter, of which two are full."""

STEPS = 4


def path(
    name: str,
    dtype: torch.dtype,
    option: str,
    device: str = "cpu",
    shapes: Sequence[Sequence[int]] = SHAPES,
    steps: int = STEPS,
    **engine: bool,
) -> list[Tensor]:
    """Return the parameters after each step.

    Args:
        name: The optimizer.
        dtype: The precision of the parameters.
        option: One of `options.OPTIONS`.
        device: Where the parameters are.
        shapes: Their shapes.
        steps: How many steps are taken.
        engine: The option that chooses the engine.

    Raises:
        AssertionError: A number beside a parameter was written to.
    """
    lr = 1.0 if name in ONE_RATE else 3e-2
    create = partial(schuss.create_optimizer, name, **{"lr": lr, **OPTIONS[option], **engine})
    rooms: list[Tensor] = []
    changes: dict[str, Callable[[Any, int], None]] = {
        "layouts": _with_gradients_in_a_bucket,
        "edited state": _edited,
    }
    lay = partial(_lying_oddly, rooms) if option == "layouts" else Tensor.detach
    training = Training(
        steps=steps,
        dtype=dtype,
        second_group={} if name in ONE_RATE else {"lr": 1e-2},
        scheduled=True,
        saved_after=steps // 2,
        shapes=shapes,
        before_step=changes.get(option),
        laid_out=lambda numbers: lay(numbers.to(device)),
    )
    found = trajectory(create, training)
    for room in rooms:
        assert room[0] == room[-1] == _GUARD, "a kernel wrote beside a parameter"
    return found


_GUARD = 0.5
"""What stands before and after a parameter; every dtype has this number."""


def _lying_oddly(rooms: list[Tensor], numbers: Tensor) -> Tensor:
    """Return a parameter that no kernel finds at a multiple of 16, in the order of its elements.

    Args:
        rooms: Takes the memory around it, of which the first and the last number are a guard.
        numbers: The numbers of the parameter.
    """
    if numbers.dim() == 2 and numbers.numel():
        return torch.stack([numbers, numbers], dim=-1)[..., 0]  # with gaps: has to be copied
    room = numbers.new_full((numbers.numel() + 2,), _GUARD)
    rooms.append(room)
    stride = numbers.contiguous(
        memory_format=torch.channels_last if numbers.dim() == 4 else torch.contiguous_format
    ).stride()
    return room.as_strided(numbers.shape, stride, 1).copy_(numbers)


def _with_gradients_in_a_bucket(optimizer: Any, step: int) -> None:
    """Make the gradients views of one tensor, as `DistributedDataParallel` does."""
    params = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    dense = [p for p in params if not _has_gaps(p)]
    bucket = params[0].new_zeros(1 + sum(p.numel() for p in dense), requires_grad=False)
    begin = 1
    for param in dense:
        view = bucket.as_strided(param.shape, param.stride(), begin)
        param.grad = view.copy_(param.grad)
        begin += param.numel()


def _has_gaps(param: Tensor) -> bool:
    return param.untyped_storage().nbytes() > (param.numel() + 2) * param.element_size()


def _edited(optimizer: Any, step: int) -> None:
    """Change state in place, then replace it, then its learning rate and its count."""
    for group in optimizer.param_groups:
        for param in group["params"]:
            state = optimizer.state[param]
            for key, value in state.items():
                if isinstance(value, Tensor) and value.is_floating_point():
                    if step == 1:
                        value.mul_(0.5)
                    elif step == 3:
                        state[key] = value.clone()
            if step == 3 and isinstance(state.get("step"), int):
                state["step"] += 5
        if step == 1:
            group["lr"] = group["lr"] * 0.5

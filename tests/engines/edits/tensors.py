"""Edits of parameters, which come before a gradient is set."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.engines.edits.subject import Subject


def spread(tensor: Tensor) -> Tensor:
    """Return equal numbers with gaps between them."""
    return torch.stack([tensor, torch.full_like(tensor, 7.0)], -1)[..., 0]


def moved(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    old = param.data
    param.data = subject.room.holding(old)
    subject.room.take_back(old)


def all_moved(subject: Subject, which: int, seed: int) -> None:
    for index in range(len(subject.params)):
        moved(subject, index, seed)


def changed_in_place(subject: Subject, which: int, seed: int) -> None:
    subject.param(which).data.mul_(0.5)


def changed_under_no_grad(subject: Subject, which: int, seed: int) -> None:
    with torch.no_grad():
        subject.param(which).add_(0.25)


def smaller(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = param.data[: len(param) // 2]


def smaller_with_its_state(subject: Subject, which: int, seed: int) -> None:
    smaller(subject, which, seed)
    subject.optimizer.state.pop(subject.param(which), None)


def larger(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = subject.room.holding(torch.cat([param.data, param.data]))


def with_gaps(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = subject.room.holding(spread(param.data))


def every_other(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = param.data[::2]


def transposed(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    order = tuple(reversed(range(param.dim())))
    param.data = subject.room.holding(param.data.permute(order).contiguous().permute(order))


def channels_last(subject: Subject, which: int, seed: int) -> None:
    param = next(p for p in subject.params if p.dim() == 4)
    param.data = subject.room.holding(param.data.to(memory_format=torch.channels_last))


def reshaped(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = param.data.reshape(-1)


def within_a_larger_one(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    whole = subject.room.holding(torch.cat([param.data, param.data, param.data]))
    param.data = whole[len(param) : 2 * len(param)]


def expanded(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = param.data.new_ones(1).expand(param.shape)


def overlapping_another(subject: Subject, which: int, seed: int) -> None:
    first, second = subject.param(which), subject.param(which + 1)
    whole = first.data.new_ones(first.numel() + second.numel() - 1)
    first.data = whole[: first.numel()].view(first.shape)
    second.data = whole[first.numel() - 1 :].view(second.shape)


def swapped(subject: Subject, which: int, seed: int) -> None:
    first, second = subject.params[0], subject.params[2]
    first.data, second.data = second.data, first.data


def in_double(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = param.data.double()


def in_half(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = param.data.half()


def there_and_back(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    dtype = param.dtype
    param.data = param.data.half()
    param.data = param.data.to(dtype)


def model_in_double(subject: Subject, which: int, seed: int) -> None:
    for param in subject.params:
        param.data = param.data.double()


def all_in_double(subject: Subject, which: int, seed: int) -> None:
    model_in_double(subject, which, seed)
    for state in subject.optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, Tensor):
                state[key] = value.double()


def negated_view(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = torch._neg_view(subject.room.holding(param.data))


def conjugated(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.data = subject.room.holding(param.data).conj()


def frozen(subject: Subject, which: int, seed: int) -> None:
    subject.param(which).requires_grad_(False)


def resized(subject: Subject, which: int, seed: int) -> None:
    data = subject.param(which).data
    data.resize_(len(data) + 1, *data.shape[1:]).fill_(0.5)


def set_elsewhere(subject: Subject, which: int, seed: int) -> None:
    data = subject.param(which).data
    data.set_(subject.room.holding(subject.random(data, seed)))  # type: ignore[call-overload]  # torch's stub lacks it


DATA = [
    moved,
    all_moved,
    changed_in_place,
    changed_under_no_grad,
    smaller,
    smaller_with_its_state,
    larger,
    with_gaps,
    every_other,
    transposed,
    channels_last,
    reshaped,
    within_a_larger_one,
    expanded,
    overlapping_another,
    swapped,
    there_and_back,
    in_double,
    model_in_double,
    negated_view,
    frozen,
    resized,
    set_elsewhere,
]
OTHER_KERNELS = [in_half, all_in_double]
"""Edits that make a kernel for another precision."""

REAL = [in_double, in_half, model_in_double, there_and_back]
"""Edits of real numbers, which would make real ones of complex ones."""

COMPLEX = [conjugated]
"""Edits of complex numbers."""

"""Edits of gradients, which come after they are set."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.engines.edits.subject import Subject
from tests.engines.edits.tensors import spread


def grads_gone(subject: Subject, which: int, seed: int) -> None:
    subject.param(which).grad = None


def all_grads_gone(subject: Subject, which: int, seed: int) -> None:
    for param in subject.params:
        param.grad = None


def grad_in_double(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.grad_dtype = None
    param.grad = subject.room.holding(subject.random(param, seed).double())


def grad_in_half(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.grad_dtype = None
    param.grad = subject.room.holding(subject.random(param, seed).half())


def grad_with_gaps(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.grad = subject.room.holding(spread(subject.random(param, seed)))


def grad_transposed(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    order = tuple(reversed(range(param.dim())))
    grad = subject.random(param, seed).permute(order).contiguous().permute(order)
    param.grad = subject.room.holding(grad)


def grad_expanded(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.grad = subject.room.holding(param.new_full((1,) * param.dim(), 0.5)).expand_as(param)


def grad_of_zeros_without_memory(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.grad = torch._efficientzerotensor(param.shape, dtype=param.dtype)


def grad_is_the_parameter(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.grad = param.detach()


def grad_overlaps_the_parameter(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    whole = subject.room.holding(subject.random(torch.empty(param.numel() + 1), seed))
    whole = whole.to(param.dtype)
    param.data = whole[1:].view(param.shape)
    param.grad = whole[:-1].view(param.shape)


def grad_is_that_of_another(subject: Subject, which: int, seed: int) -> None:
    subject.params[0].grad = subject.params[2].grad


def grad_is_the_state(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    state = subject.state(which)
    alike = [v for v in state.values() if isinstance(v, Tensor) and v.shape == param.shape]
    if alike:
        param.grad = alike[seed % len(alike)]


def grad_is_another_parameter(subject: Subject, which: int, seed: int) -> None:
    subject.params[0].grad = subject.params[2].detach()


def grad_negated(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.grad = torch._neg_view(subject.room.holding(subject.random(param, seed)))


def grad_imaginary(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    numbers = torch.complex(subject.random(param, seed).float(), subject.random(param, 9).float())
    param.grad = numbers.conj().imag.to(param.dtype)


def grad_conjugated(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.grad = subject.room.holding(subject.random(param, seed)).conj()


def grad_emptied(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    if param.grad is not None:
        param.grad.data = torch.empty(0, dtype=param.grad.dtype)


def grad_of_another_size(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    if param.grad is not None:
        param.grad.data = param.grad.data[:1].clone()


def grad_on_meta(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    if param.grad is not None:
        param.grad.data = param.grad.data.to("meta")


def grad_changed_in_place(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    if param.grad is not None:
        param.grad.mul_(0.5)


def grad_that_needs_one(subject: Subject, which: int, seed: int) -> None:
    param = subject.param(which)
    param.grad = (subject.random(param, seed).requires_grad_() * 2.0).clone()


GRADS = [
    grads_gone,
    all_grads_gone,
    grad_in_double,
    grad_in_half,
    grad_with_gaps,
    grad_transposed,
    grad_expanded,
    grad_of_zeros_without_memory,
    grad_is_the_parameter,
    grad_overlaps_the_parameter,
    grad_is_that_of_another,
    grad_is_the_state,
    grad_is_another_parameter,
    grad_negated,
    grad_imaginary,
    grad_emptied,
    grad_of_another_size,
    grad_on_meta,
    grad_changed_in_place,
    grad_that_needs_one,
]

REAL = [grad_in_double, grad_in_half, grad_imaginary]
"""Edits of real numbers, which would make real ones of complex ones."""

COMPLEX = [grad_conjugated]
"""Edits of complex numbers."""

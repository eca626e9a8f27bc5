"""The parameters that can be stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from schuss.contract import Batch, State, States
from schuss.engines.errors import UnfusableError
from schuss.engines.memory import has_memory, ranges
from schuss.storage.codecs import Encoded, parts_of

LARGE = 2**18
"""The numbers of a parameter that is left to the loop: a product of two matrices of 512 rows and
columns takes as long alone as in a stack."""

CHUNK = 2**19
"""The numbers of the parameters of one stack, at most, so that caches hold it."""


FEWEST = 8
"""The parameters of one stack, at least: to call the rule through `torch.vmap`, and to copy in and
out, takes longer than to call it for fewer ones."""


class Stack(NamedTuple):
    """Parameters that are stepped together, with their gradients in the same order."""

    params: list[Tensor]
    grads: list[Tensor]

    def part(self, begin: int, count: int) -> Stack:
        """Return `count` of them, from one on."""
        return Stack(self.params[begin : begin + count], self.grads[begin : begin + count])


def divided(batch: Batch, states: States) -> tuple[list[Stack], Stack]:
    """Divide parameters into stacks, and those that are left to the loop.

    Raises:
        UnfusableError: There are no stacks, or some tensors share memory or have none.
    """
    kinds: dict[object, Stack] = {}
    for param, grad in zip(batch.params, batch.grads, strict=True):
        kind = _kind(states[param], param, grad) if param.numel() < LARGE else param
        stack = kinds.setdefault(kind, Stack([], []))
        stack.params.append(param)
        stack.grads.append(grad)
    stacks, alone = [], Stack([], [])
    for stack in kinds.values():
        count = max(FEWEST, CHUNK // stack.params[0].numel())
        for begin in range(0, len(stack.params), count):
            part = stack.part(begin, count)
            if len(part.params) >= FEWEST:
                stacks.append(part)
            else:
                alone.params.extend(part.params)
                alone.grads.extend(part.grads)
    if not stacks:
        raise UnfusableError(f"no {FEWEST} parameters of less than {LARGE:,} numbers are alike")
    _check_apart([param for stack in stacks for param in stack.params], states)
    return stacks, alone


def _kind(state: State, param: Tensor, grad: Tensor) -> object:
    """Return what parameters of one stack have in common."""
    kinds = [(key, type(value), _common(value)) for key, value in state.items()]
    return type(param), _common(param), grad.dtype, *kinds


def _common(value: Any) -> object:
    if isinstance(value, Tensor):
        codec = value.codec if isinstance(value, Encoded) else None
        return value.shape, value.dtype, value.device, codec
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value


def _check_apart(params: Sequence[Tensor], states: States) -> None:
    """Refuse tensors of which a stack would not be a copy that can be copied back."""
    tensors = list(params)
    for param in params:
        own = (value for value in states[param].values() if isinstance(value, Tensor))
        tensors += [part for value in own for part in parts_of(value)]
    for tensor in tensors:
        if not (has_memory(tensor) or tensor.is_meta):
            raise UnfusableError(f"a {type(tensor).__name__} has no plain memory of its own")
    starts, ends = ranges(tensor for tensor in tensors if not tensor.is_meta)
    if (ends[:-1] > starts[1:]).any():
        raise UnfusableError("tensors of parameters or of their state share memory")

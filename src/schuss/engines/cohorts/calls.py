"""Calls of functions of whole tensors, for several parameters at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, cast

import torch
from torch import Tensor

from schuss.engines.batching import vmapped
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.traces import Part
from schuss.engines.heap import hold_freed_memory
from schuss.engines.program.program import GRAD
from schuss.engines.program.stages import (
    Argument,
    Cut,
    Fed,
    Kept,
    Ref,
    Returned,
    Run,
    Tangle,
)
from schuss.storage.codecs import parts_of

FEWEST = 4
"""The parameters of a stack for which `torch.vmap` takes less time than one call for each."""


class Stacks:
    """The blocks of some parameters, from stage to stage.

    Args:
        cohort: The cohort of the parameters.
        part: The part of it.
        cut: The stages of the rule.
        indices: The parameters.
        grads: The gradients, by the index of their parameter; None for those that parameters have.
        at: Where the parameters are in their part.
    """

    def __init__(
        self,
        cohort: Cohort,
        part: Part,
        cut: Cut,
        indices: Sequence[int],
        grads: Mapping[int, Tensor] | None,
        at: slice,
    ) -> None:
        hold_freed_memory()
        self.at = at
        self._cohort = cohort
        self._part = part
        self._cut = cut
        self._indices = indices
        self._grads = grads
        self._stacks: dict[int, Tensor] = {}

    def new(self, block: int) -> Tensor:
        """Return memory for a block of each parameter, for a kernel to write: a stack."""
        tangle = self._cut.tangle
        shape = (len(self._indices), *tangle.shapes[block])
        device = self._cohort.params[0].device
        stack = torch.empty(shape, dtype=tangle.dtypes[block], device=device)
        self._stacks[block] = stack
        return stack

    def read(self, block: int, *, apart: bool = False) -> Tensor:
        """Return a block of each parameter, for a program to read: a stack without gaps.

        Args:
            block: The block.
            apart: Whether it must not lie in the memory of the parameter or of the state.
        """
        stack = self._stack(block).contiguous()
        if apart and self._is_view(stack):
            stack = stack.clone()
        self._stacks[block] = stack
        return stack

    def call(self, runs: Sequence[Run]) -> None:
        """Call functions for all parameters."""
        for run in runs:
            given = [self._stack(block) for block in run.given]
            for block, stack in zip(run.returned, self._called(run, given), strict=True):
                self._check(run, block, stack)
                self._stacks[block] = stack
            del given
            self.drop(run.done)

    def _check(self, run: Run, block: int, stack: Tensor) -> None:
        """Refuse what is not as it was when the rule was traced, because a kernel is to read it."""
        tangle = self._cut.tangle
        if stack.shape[1:] != tangle.shapes[block] or stack.dtype is not tangle.dtypes[block]:
            names = " and ".join(tangle.calls[call].function.__name__ for call in run.calls)
            raise RuntimeError(
                f"one of {names} returned a tensor of shape {tuple(stack.shape[1:])} and "
                f"{stack.dtype}, and of shape {tangle.shapes[block]} and {tangle.dtypes[block]} "
                "where it was tried on tensors without memory"
            )

    def drop(self, blocks: Iterable[int]) -> None:
        """Let go of blocks."""
        for block in blocks:
            self._stacks.pop(block, None)

    def copy_kept(self) -> None:
        """Copy blocks that become state, if they lie in memory that is written to before."""
        for block in set(self._cut.kept.values()):
            stack = self._stack(block)
            if self._is_view(stack):
                self._stacks[block] = stack.clone()

    def kept(self) -> dict[str, list[Tensor]]:
        """Write blocks into the state; return those that are new there, by key."""
        new = {}
        cohort = self._cohort
        stacks = {key: self._stack(block) for key, block in self._cut.kept.items()}
        for key, stack in stacks.items():
            if key in cohort.whole and stack.shape[1:] == cohort.states[0][key].shape:
                there = [cohort.states[index][key] for index in self._indices]
                torch._foreach_copy_(there, stack.unbind())
            else:
                new[key] = [tensor.clone() for tensor in stack.unbind()]
        return new

    def _stack(self, block: int) -> Tensor:
        """Return the blocks of all parameters, one after the other."""
        if block not in self._stacks:
            tensors = list(self._where_they_lie(block))
            one = len(tensors) == 1
            self._stacks[block] = tensors[0].unsqueeze(0) if one else torch.stack(tensors)
        return self._stacks[block]

    def _is_view(self, stack: Tensor) -> bool:
        """Tell whether a stack lies in the memory of a parameter or of its state."""
        if len(self._indices) > 1:  # whose stacks are copies
            return False
        [index] = self._indices
        state = self._cohort.states[index].values()
        tensors = [self._cohort.params[index], *(x for x in state if isinstance(x, Tensor))]
        own = [part for tensor in tensors for part in parts_of(tensor)]
        return any(_memory(part) == _memory(stack) for part in own)

    def _where_they_lie(self, block: int) -> Iterable[Tensor]:
        """Return blocks that no stage has made: state, parameters and gradients."""
        source, cohort = self._cut.tangle.sources[block], self._cohort
        dtype = self._cut.tangle.dtypes[block]
        if isinstance(source, Kept):
            kept = [cohort.states[index][source.key] for index in self._indices]
            return [x if x.dtype is dtype else x.to(dtype) for x in kept]
        place = self._cut.tangle.inputs[cast("Fed", source).value]
        if place.name != GRAD:
            tensors = [cohort.tensors(place)[index] for index in self._indices]
        elif self._grads is not None:
            tensors = [self._grads[index] for index in self._indices]
        else:
            params = [cohort.params[index] for index in self._indices]
            tensors = [param.grad for param in params if param.grad is not None]
        shape = self._cut.tangle.shapes[block]
        if len(tensors) > 1 and tuple(tensors[0].shape) == shape:
            return tensors  # all of them are of one shape, and are copied
        return [tensor.detach().reshape(shape) for tensor in tensors]

    def _called(self, run: Run, given: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return stacks of what functions return."""
        tangle, count = self._cut.tangle, len(self._indices)
        numbers = self._numbers
        if len(numbers) == 1:
            if not given:
                return [x.expand(count, *x.shape) for x in played(tangle, run, (), numbers[0])]
            if run.for_stacks is not None:
                return played(tangle, run, given, numbers[0], run.for_stacks)
            if count == 1:
                alone = played(tangle, run, [stack[0] for stack in given], numbers[0])
                return [x.unsqueeze(0) for x in alone]
            if count >= FEWEST:
                each = partial(played, tangle, run, numbers=numbers[0])
                with suppress(RuntimeError):  # a function that fails tells its reason below
                    stacks: Sequence[Tensor] = vmapped(lambda *blocks: each(blocks), *given)
                    return stacks
        found = [
            played(tangle, run, [stack[row] for stack in given], numbers[row % len(numbers)])
            for row in range(count)
        ]
        return [torch.stack(each) for each in zip(*found, strict=True)]

    @cached_property
    def _numbers(self) -> Sequence[Any]:
        """Return the numbers of the trace: once for all parameters, or for each of them."""
        part = self._part
        numbers = part.numbers()
        if part.which is None:
            return [numbers]
        which = part.which[self.at]
        return [numbers[which[0]]] if (which == which[0]).all() else [numbers[n] for n in which]


def _memory(tensor: Tensor) -> int:
    """Return what is the same for all tensors in one memory, on the meta device too."""
    return int(tensor.untyped_storage()._cdata)


def played(
    tangle: Tangle,
    run: Run,
    given: Sequence[Tensor],
    numbers: Any,
    instead: Callable[..., Any] | None = None,
) -> tuple[Tensor, ...]:
    """Call functions, and return those of their results that are needed afterwards.

    Args:
        tangle: The operations of the rule.
        run: The calls.
        given: The blocks that they are given.
        numbers: The numbers of the trace.
        instead: The function that is called in place of that of the only call.
    """
    values: dict[object, Tensor] = dict(zip(run.given, given, strict=True))
    for number in run.calls:
        call = tangle.calls[number]
        arguments = _filled(call.args, tangle, values, numbers)
        options = _filled(call.kwargs, tangle, values, numbers) if call.kwargs else {}
        result = (instead or call.function)(*arguments, **options)
        if isinstance(result, (tuple, list)):
            values |= {Returned(number, at): each for at, each in enumerate(result)}
        else:
            values[Returned(number, None)] = result
    return tuple(values[tangle.sources[block]] for block in run.returned)


def _filled(tree: Any, tangle: Tangle, values: Mapping[object, Tensor], numbers: Any) -> Any:
    """Return arguments of a call, with the tensors and numbers in their places.

    A function within `played` would refer to itself, and so keep all tensors until Python's
    collector of garbage comes.
    """
    if type(tree) is Ref:
        source = tangle.sources[tree.block]
        return values[tree.block if tree.block in values else source]
    if type(tree) is Argument:
        return float(numbers[tree.position])
    if type(tree) in (list, tuple):
        return type(tree)([_filled(each, tangle, values, numbers) for each in tree])
    if type(tree) is dict:
        return {key: _filled(each, tangle, values, numbers) for key, each in tree.items()}
    return tree

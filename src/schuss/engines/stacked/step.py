"""The step of the parameters of one group, stack by stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from schuss.contract import Batch, State, Stateful, States, Work
from schuss.engines import loop
from schuss.engines.batching import vmapped
from schuss.engines.errors import UnfusableError
from schuss.engines.stacked.stacks import Stack, divided
from schuss.storage.codecs import Encoded, copy_all


class StackedStep:
    """The step of the parameters of one group, to be called.

    Args:
        optimizer: Whose rule it is.
        states: The states of the parameters.
        work: The rule, and what is done around it.
        batch: The parameters, with their gradients.
        passed_over: Why engines cannot run the rule; a reason that is found in a step is added.

    Raises:
        UnfusableError: The parameters cannot be stacked.
    """

    def __init__(
        self,
        optimizer: Stateful,
        states: States,
        work: Work,
        batch: Batch,
        passed_over: dict[str, str],
    ) -> None:
        self._optimizer = optimizer
        self._states = states
        self._work = work
        self._group = batch.group
        self._passed_over = passed_over
        self.stacks, self.alone = divided(batch, states)

    def check(self) -> None:
        """Try the rule on copies of two parameters of each kind.

        Raises:
            UnfusableError: It cannot be run for stacks.
        """
        tried = set()
        for stack in self.stacks:
            shape = stack.params[0].shape
            if shape not in tried:
                tried.add(shape)
                self._stepped(stack.part(0, 2))

    def __call__(self) -> None:
        """Take the step."""
        for stack in self.stacks:
            try:
                result = None if "stacked" in self._passed_over else self._stepped(stack)
            except UnfusableError as error:
                self._passed_over["stacked"] = str(error)
                result = None
            if result is None:
                self._on_the_loop(stack)
            else:
                result.write(stack.params, [self._states[param] for param in stack.params])
        if self.alone.params:
            self._on_the_loop(self.alone)

    def _on_the_loop(self, stack: Stack) -> None:
        batch = Batch(self._group, stack.params, stack.grads)
        loop.planned(self._optimizer, self._states, self._work, batch)()

    def _stepped(self, stack: Stack) -> Result:
        """Run the rule for copies of some parameters.

        Raises:
            UnfusableError: It cannot be run for a stack, or it has raised.
        """
        states = [self._states[param] for param in stack.params]
        kept = {
            key: torch.stack([state[key] for state in states])
            for key, value in states[0].items()
            if isinstance(value, Tensor)
        }
        versions = {key: tensors._version for key, tensors in kept.items()}
        params = torch.stack([param.detach() for param in stack.params])
        numbers: State = {}

        def for_one(tensors: dict[str, Tensor], grad: Tensor, param: Tensor) -> dict[str, Tensor]:
            state = {key: tensors.get(key, value) for key, value in states[0].items()}
            rule, scale = self._work.rule, self._work.grad_scale
            loop.run_one(rule, state, self._group, grad, param, scale)
            made = {key: value for key, value in state.items() if isinstance(value, Tensor)}
            numbers.update({key: value for key, value in state.items() if key not in made})
            return made

        with _Raised() as raised:
            try:
                made = vmapped(for_one, kept, torch.stack(stack.grads), params)
            except Exception as error:
                raise UnfusableError(f"the rule is not for stacks: {_in_short(error)}") from error
        if raised.errors:
            caught = _in_short(raised.errors[0])
            raise UnfusableError(f"the rule is not for stacks: it goes on after {caught!r}")
        changed, new = {}, {}
        for key, tensors in made.items():
            if key not in kept or not _is_same(tensors, kept[key]):
                new[key] = tensors
            elif kept[key]._version != versions[key]:
                changed[key] = kept[key]
        dropped = states[0].keys() - made.keys() - numbers.keys()
        return Result(params, numbers, changed, new, list(dropped))


class _Raised(TorchFunctionMode):
    """Notes the errors that functions of torch raise, also those that a rule catches.

    Such an error may be about one parameter of the stack, or about the stack alone.

    Attributes:
        errors: The errors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch."""
        try:
            return function(*args, **(kwargs or {}))
        except Exception as error:
            self.errors.append(error)
            raise


class Result(NamedTuple):
    """The result of a step for a stack.

    Attributes:
        params: The new parameters.
        numbers: The values of each state that are no tensors.
        changed: Tensors of the states that the rule has written to, by key.
        new: Tensors that it has put there, by key.
        dropped: The keys that it has taken out.
    """

    params: Tensor
    numbers: State
    changed: dict[str, Tensor]
    new: dict[str, Tensor]
    dropped: list[str]

    def write(self, params: Sequence[Tensor], states: Sequence[State]) -> None:
        """Write it into the parameters and their states."""
        torch._foreach_copy_([param.detach() for param in params], list(self.params.unbind()))
        for key, tensors in self.changed.items():
            copy_all([state[key] for state in states], tensors.unbind())
        new = {}
        for key, tensors in self.new.items():
            kept: list[Any] = [state.get(key) for state in states]
            if isinstance(kept[0], Encoded) and kept[0].shape == tensors.shape[1:]:
                copy_all(kept, tensors.unbind())
            else:
                new[key] = [tensor.clone() for tensor in tensors.unbind()]
        for number, state in enumerate(states):
            for key in self.dropped:
                del state[key]
            state.update(self.numbers)
            state.update({key: tensors[number] for key, tensors in new.items()})


def _is_same(x: Tensor, y: Tensor) -> bool:
    """Tell whether two stacks are one, so that the rule has left a tensor where it was."""
    return x.data_ptr() == y.data_ptr() and x.shape == y.shape and x.stride() == y.stride()


def _in_short(error: Exception) -> str:
    """Return what an error says in one line."""
    return next(iter(str(error).splitlines()), type(error).__name__)

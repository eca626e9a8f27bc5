"""The states of all parameters of an optimizer, as its rules expect them."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from schuss.contract import Group, State, Stateful, States
from schuss.engines.capturing import put_on_device
from schuss.engines.cohorts.contents import plain_number
from schuss.engines.loop import initial_state, stream_of
from schuss.engines.memory import has_memory, is_within_storage
from schuss.storage import master
from schuss.storage.codecs import Encoded, parts_of
from schuss.storage.codecs.policy import keep
from schuss.storage.codecs.saved import put_together_within
from schuss.storage.numbers import as_number
from schuss.storage.precision import state_dtypes

STEP = "step"
"""The key of the number of steps, which the base class of all optimizers counts."""

Kind: TypeAlias = tuple[Any, ...]
"""The dtype and the shape of a parameter, and what each value of its state is like."""


class Kept:
    """States, and what they were like when a step was last taken with them.

    Attributes:
        states: The state of every parameter.
    """

    def __init__(self, states: defaultdict[Tensor, State] | None = None) -> None:
        self.states = defaultdict(dict) if states is None else states
        self._kinds: dict[Tensor, Kind] = {}
        self._before: list[tuple[State, State]] = []
        self._new: dict[Tensor, None] = {}

    def is_held(self, states: Sequence[State]) -> bool:
        """Tell whether somebody else refers to the dictionaries: to that of all, or to a state.

        Args:
            states: The states that cohorts hold, too.
        """
        # By the attribute and the argument.
        if sys.getrefcount(self.states) > 2:
            return True
        # By the dictionary of all, the cohort, the list of the caller, the argument.
        return any(count > 4 for count in map(sys.getrefcount, states))

    def begin(self) -> None:
        """Begin to remember what is done here to states, and which are adopted."""
        self._before, self._new = [], {}

    def undo(self) -> None:
        """Undo that, since the last beginning."""
        for state, content in reversed(self._before):
            state.clear()
            state.update(content)
        for param in self._new:
            del self.states[param]
            self._kinds.pop(param, None)
        self.begin()

    def of_group(self, optimizer: Stateful, group: Group, stepped: Sequence[Tensor]) -> States:
        """Return the states of a group's parameters in the form that a rule expects.

        Numbers are Python's, whatever was put there. Beside a weight there is what the group asks
        for, and then the state is in float32. A state that is there is brought into that form; a
        new one is yet to be adopted.

        Args:
            optimizer: Whose rule it is.
            group: The group.
            stepped: The parameters whose turn it is.

        Raises:
            RuntimeError: A parameter has another dtype or shape than its state. Nothing has been
                changed then.
        """
        # A caller that asks for the state of a parameter without one makes an empty one.
        begun = {p: self.states[p] for p in group["params"] if p in self.states}
        found = {p: state for p, state in begun.items() if state or p in self._kinds}
        for param in stepped:
            state = found.get(param)
            if state:
                self._check(optimizer, state, param)
            else:
                _check_memory(optimizer, {}, param)
        for param in stepped:
            state = found.get(param)
            if state:
                content = dict(state)
                _mend(optimizer, group, param, state)
                self._before.append((state, content))
            else:
                found[param] = _initial(optimizer, group, param)
        return found

    def copied(self, optimizer: Stateful, group: Group, stepped: Sequence[Tensor]) -> States:
        """Return copies of the states of some parameters, complete, with the same tensors."""
        found = {}
        for param in stepped:
            state = dict(self.states.get(param) or {})
            if state:
                self._check(optimizer, state, param)
                _mend(optimizer, group, param, state)
            found[param] = state or _initial(optimizer, group, param)
        return found

    def is_new(self, param: Tensor) -> bool:
        """Tell whether the state of a parameter was adopted since the last beginning."""
        return param in self._new

    def adopt(self, states: States) -> None:
        """Take new states."""
        for param, state in states.items():
            if self.states.get(param) is not state:
                if param not in self.states:
                    self._new[param] = None
                self.states[param] = state
                self._kinds[param] = _kind(param, state)

    def set_weight(self, optimizer: Stateful, group: Group, param: Tensor, weight: Tensor) -> None:
        """Write a weight into a parameter in half precision, and the rest of it into the state.

        A state that is not there is begun, with this weight.
        """
        state = self.states.get(param)
        if state:
            _mend(optimizer, group, param, state)
            master.set_weight(state, param, weight)
        elif master.weights_of(group, param) is None:
            param.copy_(weight)
        else:
            self.adopt({param: _initial(optimizer, group, param, weight)})

    def are_as_before(self, states: States) -> bool:
        """Tell whether tensors have the dtypes and shapes with which a step was taken before."""
        return not states or all(
            self._kinds.get(param) == _kind(param, states[param]) for param in states
        )

    def note(self, states: States) -> None:
        """Note that a step was taken with some states.

        A tensor that has got a shape unlike its parameter's is not noted: the rule may go on with
        it for a while, and raise then.
        """
        for param, state in states.items():
            kind = _kind(param, state)
            if not _is_misshapen(self._kinds.get(param, ()), kind):
                self._kinds[param] = kind

    def _check(self, optimizer: Stateful, state: State, param: Tensor) -> None:
        _check_memory(optimizer, state, param)
        _check_count(optimizer, state, param)
        known = self._kinds.get(param)
        if known is None or known[:2] == (param.dtype, param.shape):
            return
        for key, value in state.items():
            if not isinstance(value, Tensor) or value.is_sparse:
                continue
            # One number is in the precision of the rule, but where the parameter is one as well.
            if not value.dim() and (param.dim() or value.dtype != known[0]):
                continue
            if key in master.KEYS and value.shape == param.shape:
                continue
            if value.shape != param.shape or value.dtype not in state_dtypes(param.dtype):
                raise RuntimeError(
                    f"{type(optimizer).__name__}: a parameter was {known[0]} of shape "
                    f"{tuple(known[1])}, and is {param.dtype} of shape {tuple(param.shape)} now, "
                    f"but its state {key!r} is {value.dtype} of shape {tuple(value.shape)} still; "
                    "change the state too, or clear it with optimizer.state[param].clear()"
                )


def tensors_of(states: States) -> list[Tensor]:
    """Return parameters, and the tensors of their states; of encoded ones, codes and scales."""
    tensors = (v for s in states.values() for v in s.values() if isinstance(v, Tensor))
    return [*states, *(part for tensor in tensors for part in parts_of(tensor))]


@contextmanager
def whole(states: States, new: Sequence[Tensor] = ()) -> Iterator[None]:
    """Undo what is done to parameters and their states within, if it ends in an error.

    It takes copies, which a step does only where something is not what it was.

    Args:
        states: The states by parameter.
        new: Parameters whose states are new, so that nobody needs them after an error.
    """
    known = {id(param) for param in new}
    old = {param: {} if id(param) in known else state for param, state in states.items()}
    before = [(tensor, tensor.detach().clone()) for tensor in tensors_of(old)]
    contents = [(state, dict(state)) for state in states.values()]
    try:
        yield
    except BaseException:
        for state, content in contents:
            state.clear()
            state.update(content)
        with torch.no_grad():
            for tensor, copy in before:
                tensor.detach().copy_(copy)
        raise


def _kind(param: Tensor, state: State) -> Kind:
    forms = [(key, *_form(value)) for key, value in state.items()]
    return (param.dtype, param.shape, has_memory(param), *forms)


def _form(value: Any) -> tuple[object, object]:
    """Return what a value of a state is like: of which kind, and of which shape."""
    if isinstance(value, Encoded):
        return value.codec.name, value.shape
    if isinstance(value, Tensor):
        return value.dtype, value.shape
    return ("a number" if as_number(value) is not None else type(value)), ()


def _is_misshapen(before: Kind, now: Kind) -> bool:
    """Tell whether a tensor of a state has got a shape that is neither its parameter's nor ()."""
    shapes = {key: shape for key, _, shape in before[3:]}
    fitting = (now[1], ())
    return any(shapes.get(k, shape) != shape and shape not in fitting for k, _, shape in now[3:])


def _check_memory(optimizer: Stateful, state: State, param: Tensor) -> None:
    """Refuse a parameter whose numbers, or those of whose state, are nowhere."""
    for key, value in (("", param), *state.items()):
        if not isinstance(value, Tensor) or value.layout is not torch.strided:
            continue
        whose = f"the state {key!r} of a parameter" if key else "a parameter"
        told = f"{type(optimizer).__name__}: {whose} of shape {tuple(param.shape)}"
        for part in parts_of(value):
            if 0 in [n for n, size in zip(part.stride(), part.shape, strict=True) if size > 1]:
                raise RuntimeError(
                    f"{told} is expanded, so that several of its numbers are one in memory; "
                    "clone it"
                )
            is_meta = part.device.type == "meta" != param.device.type
            if is_meta or (has_memory(part) and not is_within_storage(part)):
                raise RuntimeError(
                    f"{told} has no memory, because its storage was resized or it is on the meta "
                    "device; put a tensor there"
                )
        if not isinstance(value, Encoded):
            continue
        fault = value.codec.fault(value.codes, value.scales, value.shape)
        if fault:
            raise RuntimeError(f"{told} has {fault}; put another tensor there")


def _check_count(optimizer: Stateful, state: State, param: Tensor) -> None:
    """Refuse a count of steps that is none; one on another device is not waited for."""
    step = state.get(STEP, 0)
    if type(step) is int and step >= 0:
        return
    if isinstance(step, Tensor) and step.numel() == 1 and step.device.type != "cpu":
        return
    number = as_number(step)
    if number is None or isinstance(number, bool) or not 0 <= number < math.inf:
        raise RuntimeError(
            f"{type(optimizer).__name__}: the state 'step' of a parameter of shape "
            f"{tuple(param.shape)} is {step!r}; it must be the number of its steps, at least 0"
        )


def _initial(
    optimizer: Stateful, group: Group, param: Tensor, weight: Tensor | None = None
) -> State:
    """Return a new state in the form that rules expect."""
    state = initial_state(optimizer, group, param, weight)
    if group["capturable"]:
        put_on_device(state, param.device)
    return state


def _mend(optimizer: Stateful, group: Group, param: Tensor, state: State) -> None:
    """Change a state to the form that rules expect, where it is not in that form."""
    put_together_within(f"a parameter of shape {tuple(param.shape)}", param.shape, state)
    master.mend(state, group, param, partial(stream_of, optimizer, param))
    for key, value in state.items():
        state[key] = plain_number(value)
    if group["capturable"]:
        put_on_device(state, param.device)
    keep(state, group, param)

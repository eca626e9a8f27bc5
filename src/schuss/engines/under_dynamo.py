"""Steps that `torch.compile` traces: the loop, with the numbers that change held in tensors.

To Dynamo a Python number is a constant of the program: one that changes takes another compilation,
and from then on a symbol. (Symbols are also what inductor of torch 2.13 gets wrong: a float that is
used in arithmetic and as an `alpha` keeps its first value there.) So, while compiling, the learning
rate and the numbers of the state are 0-d tensors, and a rule has to do without an `if` on them. All
other hyper-parameters are constants. The next eager step takes the numbers back.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from schuss.contract import Batch, Group, Measure, Pass, Rule, State, Stateful
from schuss.engines import loop
from schuss.engines.engine import Engine
from schuss.engines.groups import with_gradient
from schuss.engines.sums import added_up, with_sums
from schuss.storage.numbers import number_dtype

_Method = TypeVar("_Method", bound=Callable[[Any], None])


class Traced(Stateful, Protocol):
    """The part of an optimizer that a compiled step is made of."""

    param_groups: list[Group]

    def begin_compiled(self) -> None:
        """Call `CompiledSteps.begin`, marked for Dynamo with `called_while_tracing`."""


class CompiledSteps:
    """Takes the steps of one optimizer that Dynamo traces, and mends the state after them."""

    def __init__(self) -> None:
        self._in_tensors = False  # whether a compiled step has put numbers of the state there
        # The kinds of the values of a state that may be tensors of no dimension: the type of a
        # number, or None for a value that is to be a tensor.
        self._kinds: dict[tuple[object, str], type | None] = {}

    def run(
        self,
        optimizer: Traced,
        engine: Engine,
        rules: Sequence[Rule],
        grad_scale: Tensor | None,
        passes: Sequence[Pass],
    ) -> None:
        """Run the rule of each group for every parameter that has a gradient; to be traced."""
        optimizer.begin_compiled()
        self._in_tensors = True
        groups: Sequence[Group] = optimizer.param_groups
        with torch.no_grad(), _without_autocast("cpu"), _without_autocast("cuda"):
            for measures, sharing in passes:
                sums = [
                    measure and measured(optimizer, engine.kept.states, measure, group, grad_scale)
                    for measure, group in zip(measures, groups, strict=True)
                ]
                groups = with_sums(groups, sums, sharing)
            for rule, group in zip(rules, groups, strict=True):
                run(optimizer, engine.kept.states, rule, group, grad_scale)

    def begin(self, optimizer: Traced, engine: Engine) -> None:
        """Create the state that is missing, where the traced program will find it."""
        engine.stay_exposed()
        begin(optimizer, engine.exposed_state(), optimizer.param_groups)

    def end(self, optimizer: Traced, engine: Engine) -> None:
        """Make numbers of the state numbers again, if a compiled step made them tensors."""
        if self._in_tensors:
            self.take_numbers(optimizer, engine)

    def take_numbers(self, optimizer: Traced, engine: Engine) -> None:
        """Make numbers of the state numbers again that are tensors, whoever put them there."""
        if self._in_tensors or engine.is_exposed:
            take_numbers(optimizer, engine.exposed_state(), optimizer.param_groups, self._kinds)
            self._in_tensors = False


def _without_autocast(device: str) -> AbstractContextManager[object]:
    """Leave `torch.autocast` of a device, as eager steps do, in a form that Dynamo can trace."""
    amid = torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if amid else nullcontext()


def called_while_tracing(method: _Method) -> _Method:
    """Mark a method without arguments, which Dynamo then calls while it traces and does not trace.

    `torch.compiler.assume_constant_result` sets the same mark, but imports Dynamo: a second.
    """
    vars(method)["_dynamo_marked_constant"] = True
    return method


def begin(
    optimizer: Stateful, states: MutableMapping[Tensor, State], groups: Sequence[Group]
) -> None:
    """Create the state of the parameters that have a gradient and no state yet.

    To be called by Dynamo while it traces, so that the first step takes no program of its own. An
    `init_state` that reads the parameter sees it as it was before the traced function.
    """
    for group in groups:
        for param in group["params"]:
            if param.grad is not None and not states.get(param):
                _begin_one(optimizer, states, group, param)


def measured(
    optimizer: Stateful,
    states: MutableMapping[Tensor, State],
    measure: Measure,
    group: Group,
    grad_scale: Tensor | None,
) -> dict[str, Tensor | float]:
    """Return the sums of what is measured of a group's parameters, on the loop; to be traced."""
    found: list[dict[str, Tensor]] = []

    def rule(state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        found.append(measure(state, group, grad, param))

    run(optimizer, states, rule, group, grad_scale)
    return added_up(found)


def run(
    optimizer: Stateful,
    states: MutableMapping[Tensor, State],
    rule: Rule,
    group: Group,
    grad_scale: Tensor | None,
) -> None:
    """Run `rule` for every parameter of a group, on the loop; to be traced."""
    batch = with_gradient(optimizer, group)
    for param in batch.params:
        if states[param]:
            _hold_in_tensors(states[param], param)
        else:  # the gradient was computed within the traced function
            _begin_one(optimizer, states, group, param)
    traceable = Batch(_traceable(group), batch.params, batch.grads)
    loop.run(optimizer, states, rule, traceable, grad_scale)


def take_numbers(
    optimizer: Stateful,
    states: MutableMapping[Tensor, State],
    groups: Sequence[Group],
    kinds: dict[tuple[object, str], type | None],
) -> None:
    """Make the numbers of `init_state` numbers again.

    Compiled steps hold them in tensors, and so do checkpoints, which some put into the state as
    they are. A rule that computes with a float32 tensor instead of a number is less exact.

    Args:
        optimizer: Whose state it is.
        states: The state of every parameter.
        groups: The parameters by group.
        kinds: The kinds of values by key and part of a composite, as far as they are known; others
            are found out where they are needed.
    """
    for group in groups:
        part = group.get("algorithm")
        for param in group["params"]:
            for key, value in (states.get(param) or {}).items():
                if isinstance(value, Tensor) and value.numel() == 1:
                    place = part, key
                    if place not in kinds:
                        initial = loop.initial_state(optimizer, group, param).items()
                        kinds |= {(part, k): type(v) if _is_number(v) else None for k, v in initial}
                    kind = kinds.setdefault(place, None)
                    if kind is not None:
                        states[param][key] = kind(value.item())


def _begin_one(
    optimizer: Stateful, states: MutableMapping[Tensor, State], group: Group, param: Tensor
) -> None:
    with torch.no_grad():
        state = loop.initial_state(optimizer, group, param)
    _hold_in_tensors(state, param)
    states[param].update(state)


def _hold_in_tensors(state: State, param: Tensor) -> None:
    dtype = number_dtype(param.device.type)
    for key, value in state.items():
        if _is_number(value):
            state[key] = torch.ones((), dtype=dtype, device=param.device) * value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _traceable(group: Group) -> Group:
    """Return a group whose learning rate is a tensor, and whose other numbers are constants."""
    for key, value in group.items():
        if key != "lr":
            for number in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(number, float):
                    number.hex()  # which takes the value, and for another value another program
    lr = group["lr"]
    if isinstance(lr, Tensor):
        return group
    # A product with a tensor is what symbolic floats may go into without a compilation for each.
    return {**group, "lr": torch.ones((), dtype=number_dtype("cpu"), device="cpu") * lr}

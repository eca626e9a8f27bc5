"""The loop engine: the rule, called for each parameter with real tensors.

It is the specification. It is also the slowest engine: every operation of the rule is one pass over
memory.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from schuss.contract import Batch, Group, Rule, State, Stateful, Work
from schuss.engines.sums import in_precision_of
from schuss.engines.surroundings import descending, run_on_weight
from schuss.storage import master
from schuss.storage.codecs.policy import keep
from schuss.storage.precision import are_computable, gradient, run_on_computable


def initial_state(
    optimizer: Stateful, group: Group, param: Tensor, weight: Tensor | None = None
) -> State:
    """Return the state with which `param` starts, with what is kept beside its weight.

    Args:
        optimizer: Whose rule it is.
        group: The group.
        param: The parameter.
        weight: Its weight in full, if it is in half precision and is not all of it.
    """
    state: State = {}
    weights = master.weights_of(group, param)
    if weights is None:
        optimizer.begin_state(state, group, param)
        keep(state, group, param)
        return state
    weights.begin(state, param, stream_of(optimizer, param))
    if weight is not None:
        master.set_weight(state, param, weight)
    optimizer.begin_state(state, group, master.weight_of(state, param))
    keep(state, group, param)
    return state


def stream_of(optimizer: Stateful, param: Tensor) -> int:
    """Return the number of a parameter's stream of random bits: its position in the optimizer.

    It is the same on all ranks, on which the same parameters have to be rounded alike.
    """
    known = _positions.setdefault(optimizer, {})
    if id(param) not in known:
        known.clear()
        groups: list[Group] = getattr(optimizer, "param_groups", [])
        every = (each for group in groups for each in group["params"])
        known |= {id(each): position for position, each in enumerate(every)}
    return known.get(id(param), 0)


_positions: WeakKeyDictionary[object, dict[int, int]] = WeakKeyDictionary()
"""The positions of parameters, by their `id`: to count anew for each takes long."""


def run(
    optimizer: Stateful,
    states: MutableMapping[Tensor, State],
    rule: Rule,
    batch: Batch,
    grad_scale: float | Tensor | None,
    *,
    copies: bool = False,
) -> None:
    """Run `rule` for every parameter of a batch in turn, but for those without numbers.

    Args:
        optimizer: Whose rule it is.
        states: The state of every parameter.
        rule: Called as `rule(state, group, grad, param)`.
        batch: Parameters of one group, with their gradients.
        grad_scale: The factor of the gradients, as `torch.amp.GradScaler` sets it, or None;
            the rule sees them divided by it.
        copies: Give the rule copies of all gradients: it is none of this library's, and may write
            into one of them and not into another.
    """
    group = batch.group
    for param, stored_grad in zip(batch.params, batch.grads, strict=True):
        state = states[param]
        if not state:
            state.update(initial_state(optimizer, group, param))
        if not param.numel():
            continue
        with torch.set_grad_enabled(group["differentiable"]):
            grad = descending(gradient(stored_grad, param), group, grad_scale)
            traced = group["differentiable"] or torch.compiler.is_compiling()
            own = in_precision_of(grad, group)
            master.mend(state, group, param, partial(stream_of, optimizer, param))
            if grad is stored_grad and copies:
                _run_one(rule, state, own, grad.clone(), param)
            elif grad is stored_grad and not traced:
                _run_guarded(optimizer, rule, state, own, grad, param)
            else:
                _run_one(rule, state, own, grad, param)


def planned(
    optimizer: Stateful, states: MutableMapping[Tensor, State], work: Work, batch: Batch
) -> Callable[[], None]:
    """Return a call that takes the step of a batch."""
    about = work.rule, batch, work.grad_scale
    return partial(run, optimizer, states, *about, copies=work.pure is None)


def run_one(
    rule: Rule,
    state: State,
    group: Group,
    stored_grad: Tensor,
    param: Tensor,
    grad_scale: float | Tensor | None,
) -> None:
    """Run `rule` for one parameter, with a gradient that it may write into."""
    grad = descending(gradient(stored_grad, param), group, grad_scale)
    _run_one(rule, state, in_precision_of(grad, group), grad, param)


_writers: WeakKeyDictionary[object, dict[str, bool]] = WeakKeyDictionary()
"""Whether a rule writes into the gradient that it is given: by the object whose method it is, or by
the optimizer, and by the rule's name.
"""


def _run_guarded(
    optimizer: Stateful, rule: Rule, state: State, group: Group, grad: Tensor, param: Tensor
) -> None:
    """Run a rule so that the gradient stays as it is, whatever the rule does to it.

    The first gradient of a rule is a copy, and tells whether the rule needs copies of the others:
    a rule of this library writes into all gradients or into none.
    """
    known = _writers.setdefault(getattr(rule, "__self__", optimizer), {})
    name = rule.__qualname__
    given = grad.clone() if known.get(name, True) else grad
    version = given._version
    _run_one(rule, state, group, given, param)
    written = given._version != version
    if written and given is grad:
        raise RuntimeError(
            f"{type(optimizer).__name__} wrote into a gradient, as it does not in every step; "
            "let the rule write into grad.clone()"
        )
    known.setdefault(name, written)


def _run_one(rule: Rule, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
    if group["differentiable"]:
        # Backward through the step needs the state as it was, and rules change it in place.
        state.update({k: v.clone() for k, v in state.items() if isinstance(v, Tensor)})
    weights = master.weights_of(group, param)
    if weights is not None:
        run_on_weight(weights, partial(_run_on, rule), state, group, grad, param)
    else:
        _run_on(rule, state, group, grad, param)


def _run_on(rule: Rule, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
    if are_computable(param, state):
        rule(state, group, grad, param)
    else:
        run_on_computable(rule, state, group, grad, param)

"""The fused engine: trace once for each cohort, compile, and launch.

Nothing is written before every cohort has been traced and its kernel compiled: a step happens or
it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor

from schuss.contract import Batch, Group, Rule, State, Stateful
from schuss.engines.fused.cohort import REALS, Cohort, divided, obstacle, same_parameters
from schuss.engines.fused.kernels import Kernel, kernel
from schuss.engines.fused.launch import launch
from schuss.engines.fused.program import STATE
from schuss.engines.fused.tracer import Trace, UnfusableError, trace
from schuss.engines.loop import initial_state
from schuss.storage.precision import computable

_known: WeakKeyDictionary[Stateful, dict[int, list[Cohort]]] = WeakKeyDictionary()
"""Cohorts of the last step, by optimizer and number of the batch."""


class Launch(NamedTuple):
    """A cohort, what is to be done to it, and the kernel that does it."""

    cohort: Cohort
    trace: Trace
    kernel: Kernel


def plan(
    optimizer: Stateful, rule: Rule, batches: Sequence[Batch], grad_scale: float | None
) -> list[Launch]:
    """Prepare a step: trace and compile, but write nothing.

    Args:
        optimizer: Owner of the state.
        rule: Called as `rule(state, group, grad, param)`, with stand-ins for the tensors.
        batches: Parameters by group, with their gradients.
        grad_scale: What the gradients were multiplied by, or None.

    Raises:
        UnfusableError: There is no kernel for the rule or for the tensors.
    """
    launches = []
    for number, batch in enumerate(batches):
        for cohort in _cohorts(optimizer, number, batch):
            like = computable(cohort.params[0].detach())
            state = {
                key: computable(value) if isinstance(value, Tensor) else value
                for key, value in cohort.states[0].items()
            }
            traced = trace(_prepared(rule, grad_scale), state, batch.group, like, like)
            real = REALS[cohort.params[0].dtype]
            compiled = kernel(type(optimizer).__name__, traced.program, real)
            launches.append(Launch(cohort, traced, compiled))
    return launches


def run(optimizer: Stateful, launches: Sequence[Launch]) -> None:
    """Take the step that was planned."""
    for cohort, traced, compiled in launches:
        for place, _ in traced.program.outputs:
            if place not in cohort.addresses:
                cohort.add(place.removeprefix(STATE))
        if traced.program.outputs:
            columns = [cohort.addresses[place] for place in compiled.places]
            launch(compiled, cohort.counts, columns, traced.arguments)
        for state in cohort.states:
            state.update(traced.scalars)
            for key in traced.dropped:
                del state[key]
        if not cohort.holds(optimizer.state):  # they are new
            optimizer.state.update(zip(cohort.params, cohort.states, strict=True))


def _cohorts(optimizer: Stateful, number: int, batch: Batch) -> list[Cohort]:
    """Return the cohorts of a batch, those of the last step if they still hold."""
    known = _known.setdefault(optimizer, {})
    cohorts = known.get(number, [])
    if same_parameters(batch, cohorts) and all(
        cohort.holds(optimizer.state) and cohort.take(batch) for cohort in cohorts
    ):
        return cohorts
    states = [
        optimizer.state.get(param) or initial_state(optimizer, batch.group, param)
        for param in batch.params
    ]
    for param, state in zip(batch.params, states, strict=True):
        reason = obstacle(param, state)
        if reason is not None:
            raise UnfusableError(reason)
    known[number] = divided(batch, states)
    for cohort in known[number]:
        cohort.take(batch)
    return known[number]


def _prepared(rule: Rule, grad_scale: float | None) -> Rule:
    """Return the rule with the gradient prepared as the loop engine does."""

    def prepared(state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        if grad_scale is not None:
            grad = grad / grad_scale
        rule(state, group, -grad if group["maximize"] else grad, param)

    return prepared

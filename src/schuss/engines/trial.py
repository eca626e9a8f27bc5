"""A step on trial: what a rule makes of the state of one parameter, while nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from schuss.contract import Batch, Group, Measure, Rule, State, Stateful
from schuss.engines import loop
from schuss.engines.sums import added_up, measuring, with_sums


def tried(
    optimizer: Stateful,
    rule: Rule,
    measures: Sequence[Measure],
    group: Group,
    param: Tensor,
    state: State,
) -> State:
    """Return the state of a parameter after a step with a gradient of zero, on copies of all.

    The copies have no memory (they are on torch's meta device), so that it costs next to nothing.
    A rule that reads the value of a tensor cannot be run on these, and is run on real ones.

    Args:
        optimizer: Whose rule it is.
        rule: Called as `rule(state, group, grad, param)`.
        measures: The sums that the rule needs.
        group: The hyper-parameters.
        param: The parameter; only read.
        state: The state before the step; only read. If it is empty, the step is the first one.

    Raises:
        Exception: Whatever the rule raises on real tensors.
    """

    def step(copied: Callable[[Tensor], Tensor]) -> State:
        twin = copied(param.detach())
        after = {
            key: copied(value.detach()) if isinstance(value, Tensor) else deepcopy(value)
            for key, value in state.items()
        }
        _step(optimizer, rule, measures, {**group, "params": [twin]}, after)
        return after

    # What a rule draws at random is drawn again in the step.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            return step(lambda tensor: torch.empty_like(tensor, device="meta"))
        except Exception:  # noqa: BLE001  # a stranger's rule raises what it likes
            return step(Tensor.clone)


def _step(
    optimizer: Stateful, rule: Rule, measures: Sequence[Measure], group: Group, state: State
) -> None:
    """Take a step with the one parameter of a group."""
    (param,) = group["params"]
    batch = Batch(group, [param], [torch.zeros_like(param)])
    for measure in measures:
        seen = {param: dict(state) or loop.initial_state(optimizer, group, param)}
        loop.run(optimizer, seen, measuring(measure), batch, None)
        (summed,) = with_sums([batch.group], [added_up([seen[param]])], [None])
        batch = batch._replace(group=summed)
    loop.run(optimizer, {param: state}, rule, batch, None)

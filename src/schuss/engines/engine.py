"""The engine of one optimizer: keeps the state, and runs the rule on what is fastest and right."""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Batch, Group, Measure, Rule, State, Stateful
from schuss.engines import foreach, loop
from schuss.engines.cohort import divided
from schuss.engines.groups import apart, wanted, with_gradient
from schuss.engines.parts import Needs
from schuss.engines.step import Step
from schuss.engines.sums import added_up, measuring, with_sums
from schuss.engines.tracing.errors import NoDeviceKernelError, Request, UnfusableError

if TYPE_CHECKING:
    from schuss.engines.fused.engine import FusedBatch


class Engine:
    """Runs rules for all parameters of an optimizer.

    Nothing is written before every group has been planned: a step happens or it does not.

    The state of the parameters is kept here. As long as nobody else has a hand on it, scalars that
    all parameters of a cohort share are kept once, and nothing has to be looked at again before a
    step but the gradients.
    """

    def __init__(self) -> None:
        self._state: defaultdict[Tensor, State] = defaultdict(dict)
        self._exposed = True
        self._pinned = False
        self._needs: defaultdict[int, Needs] = defaultdict(Needs)
        self._fused: dict[int, FusedBatch] = {}
        self.passed_over: dict[int, dict[str, str]] = {}
        self._warned: set[int] = set()

    @property
    def is_exposed(self) -> bool:
        """Whether somebody may have changed the state since the last step."""
        return self._exposed

    def exposed_state(self) -> defaultdict[Tensor, State]:
        """Return the state of every parameter, to read or to change."""
        self._exposed = True
        self._write_scalars()
        return self._state

    def stay_exposed(self) -> None:
        """Keep the state of every parameter up to date from here on: compiled steps read it."""
        self._pinned = True
        self.exposed_state()

    def replace_state(self, state: defaultdict[Tensor, State]) -> None:
        """Take another state."""
        self._write_scalars()
        self._state = state
        self._exposed = True
        self._fused.clear()

    def measured(
        self,
        optimizer: Stateful,
        measures: Sequence[Measure],
        groups: Sequence[Group],
        grad_scale: Tensor | None = None,
    ) -> Sequence[Group]:
        """Return the groups with the sums of what is measured of parameters that have a gradient.

        Takes and raises what `run` does, and `measures`: each is called for all parameters, as
        `measure(state, group, grad, param)`, and finds the sums of those before it in the group.
        """
        scale = None if grad_scale is None else float(grad_scale)
        for measure in measures:
            numbers = range(len(groups))
            sums = [self._sums(optimizer, measure, n, groups[n], scale) for n in numbers]
            groups = with_sums(groups, sums)
        return groups

    def run(
        self,
        optimizer: Stateful,
        rule: Rule,
        groups: Sequence[Group],
        grad_scale: Tensor | None = None,
    ) -> None:
        """Run `rule` for every parameter that has a gradient.

        Args:
            optimizer: Whose rule it is.
            rule: Called as `rule(state, group, grad, param)`.
            groups: The parameters by group.
            grad_scale: What the gradients were multiplied by, as `torch.amp.GradScaler` does, or
                None.

        Raises:
            RuntimeError: A gradient is sparse, or a group asks for an engine that cannot run the
                rule. Nothing has been changed then.
        """
        scale = None if grad_scale is None else float(grad_scale)
        steps = {
            number: self._planned(optimizer, rule, number, group, scale)
            for number, group in enumerate(groups)
        }
        for number, planned in steps.items():
            self._take(number, planned)
        if self._exposed:
            self._exposed = self._is_held()
            if self._exposed:
                self._write_scalars()

    def _take(self, number: int, steps: list[Step]) -> None:
        """Take the steps of one group, and drop them: they refer to the state."""
        remain = True
        while steps:
            remain &= steps.pop(0).take()
        if not remain:
            self._forget(number)

    def planned_for_all(
        self, optimizer: Stateful, rule: Rule, number: int, group: Group
    ) -> tuple[str, list[Step], dict[str, str]]:
        """Return how a step of one group would be taken, if every parameter had a gradient.

        Returns:
            The engine, its steps (none on the loop), and why other engines were passed over.
        """
        params = list(group["params"])
        batch = Batch(group, params, [param.detach() for param in params])
        reasons = dict(self.passed_over.get(number, {}))
        for name in wanted(group):
            if name == "loop" or name in reasons:
                continue
            try:
                steps = self._planned_on(name, optimizer, rule, number, batch, None)
            except UnfusableError as error:
                reasons[name] = str(error)
            else:
                return name, [step for step in steps if step.cohort], reasons
        return "loop", [], reasons

    def _planned(
        self, optimizer: Stateful, rule: Rule, number: int, group: Group, scale: float | None
    ) -> list[Step]:
        """Plan the step of one group; write nothing."""
        engines = wanted(group)
        if number in self._fused and not self._exposed and "fused" in engines:
            try:
                steps = self._fused[number].plan(rule, group, scale, None)
            except (UnfusableError, Request):
                steps = None
            if steps is not None:
                return steps
        self._forget(number)
        dense, sparse = apart(with_gradient(optimizer, group))
        steps = self._planned_on_fastest(optimizer, rule, number, dense, scale)
        if sparse.params:
            steps.append(Step(partial(loop.run, optimizer, self._state, rule, sparse, scale)))
        return steps

    def _planned_on_fastest(
        self,
        optimizer: Stateful,
        rule: Rule,
        number: int,
        batch: Batch,
        scale: float | None,
        states: dict[Tensor, State] | None = None,
    ) -> list[Step]:
        """Plan a step anew; with `states`, on these instead of the optimizer's."""
        engines = wanted(batch.group) if batch.params else ()
        passed_over = self.passed_over.setdefault(number, {})
        for name in engines:
            if name in passed_over:
                continue
            try:
                return self._planned_on(name, optimizer, rule, number, batch, scale, states)
            except UnfusableError as error:
                if len(engines) == 1:
                    raise RuntimeError(
                        f"{type(optimizer).__name__} with {name}=True: {error}; leave {name} out "
                        "to run it on the fastest engine that can"
                    ) from None
                passed_over[name] = str(error)
                if not isinstance(error, NoDeviceKernelError):
                    self._warn(optimizer, number, error)
        return []

    def _planned_on(
        self,
        name: str,
        optimizer: Stateful,
        rule: Rule,
        number: int,
        batch: Batch,
        scale: float | None,
        given: dict[Tensor, State] | None = None,
    ) -> list[Step]:
        """Plan the step of one group on one engine."""
        group = batch.group
        if name == "loop":
            kept = self._state if given is None else given
            return [Step(partial(loop.run, optimizer, kept, rule, batch, scale))]
        states = list(given.values()) if given else self._states(optimizer, batch)
        steps = [] if given else [Step(partial(self._adopt, batch.params, states))]
        try:
            cohorts = divided(batch, states, self._needs[number])
            if name == "foreach":
                return steps + [foreach.plan(cohort, rule, batch, scale) for cohort in cohorts]
            from schuss.engines.fused.engine import FusedBatch

            fused = FusedBatch(cohorts, batch, group["params"])
            steps += fused.plan(rule, group, scale, batch) or ()
            if not given:
                steps.append(Step(partial(self._keep, number, fused)))
        except Request as request:
            self._needs[number] = self._needs[number].after(request)
        else:
            return steps
        return self._planned_on(name, optimizer, rule, number, batch, scale, given)

    def _states(self, optimizer: Stateful, batch: Batch) -> list[State]:
        """Return the states of parameters, new ones for those that have none yet."""
        return [
            self._state.get(param) or loop.initial_state(optimizer, batch.group, param)
            for param in batch.params
        ]

    def _sums(
        self, optimizer: Stateful, measure: Measure, number: int, group: Group, scale: float | None
    ) -> Mapping[str, Tensor | float]:
        """Return the sums of what is measured over the parameters of one group."""
        rule = measuring(measure)
        if number in self._fused and not self._exposed and "fused" in wanted(group):
            try:
                sums = self._fused[number].sums(rule, group, scale)
            except (UnfusableError, Request):
                sums = None
            if sums is not None:
                return sums
        self._write_scalars()
        batch = with_gradient(optimizer, group)
        states = [dict(state) for state in self._states(optimizer, batch)]
        given = dict(zip(batch.params, states, strict=True))
        for step in self._planned_on_fastest(optimizer, rule, number, batch, scale, given):
            step.take()
            if step.cohort is not None:
                step.cohort.write_scalars()
        return added_up([given[param] for param in batch.params if param.numel()])

    def _adopt(self, params: Sequence[Tensor], states: Sequence[State]) -> bool:
        self._state.update(zip(params, states, strict=True))
        return True

    def _keep(self, number: int, fused: FusedBatch) -> bool:
        self._fused[number] = fused
        return True

    def _warn(self, optimizer: Stateful, number: int, error: UnfusableError) -> None:
        """Say once why a group is not run by the fastest engine."""
        if number not in self._warned:
            self._warned.add(number)
            warnings.warn(
                f"{type(optimizer).__name__} cannot run parameter group {number} on the fastest "
                f"engine, but on a slower one: {error}",
                stacklevel=2,
            )

    def _forget(self, number: int) -> None:
        """Forget the cohorts of a group."""
        fused = self._fused.pop(number, None)
        for cohort in fused.cohorts if fused else ():
            cohort.write_scalars()

    def _write_scalars(self) -> None:
        for fused in self._fused.values():
            for cohort in fused.cohorts:
                cohort.write_scalars()

    def _is_held(self) -> bool:
        """Tell whether somebody else refers to the state, and so could change it unseen."""
        # By the attribute and the argument.
        if self._pinned or sys.getrefcount(self._state) > 2:
            return True
        states = [s for fused in self._fused.values() for c in fused.cohorts for s in c.states]
        tensors = [value for s in states for value in s.values() if torch.is_tensor(value)]
        # States: by the dictionary of all, the cohort, the list above, the argument. Tensors: by
        # their state, the list above, the argument.
        return any(count > 4 for count in map(sys.getrefcount, states)) or any(
            count > 3 for count in map(sys.getrefcount, tensors)
        )

"""The engine of one optimizer: keeps the state, and runs the rule on what is fastest and right."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from torch import Tensor

from schuss.contract import Group, Measure, Pass, Rule, State, Stateful, Work
from schuss.engines import loop
from schuss.engines.errors import Request, UnfusableError
from schuss.engines.foreach.batch import ForeachBatch
from schuss.engines.groups import apart, check_captured, filled, with_gradient, works_of
from schuss.engines.planning import Known, Planned, Planner
from schuss.engines.running import Running
from schuss.engines.states import Kept
from schuss.engines.sums import added_up, measuring, with_sums
from schuss.engines.turns import Turn, Turns, left_to_device
from schuss.engines.verdict import Verdict, read_at_once


class Engine:
    """Runs rules for all parameters of an optimizer.

    Nothing is written before every group has been planned, and all kernels of a step run in one
    call. The state of the parameters is kept here. As long as nobody else has a hand on it, numbers
    that a cohort shares are kept once, and only memory is looked at before a step.

    Args:
        kept: The state of every parameter, if it is that of another engine, too.
        said: Warnings that were given, if they are not to be given again for another parameter.

    Attributes:
        kept: The state of every parameter; `exposed_state` is it for others.
    """

    def __init__(self, kept: Kept | None = None, said: set[str] | None = None) -> None:
        self.kept = Kept() if kept is None else kept
        self._exposed = True
        self._pinned = False
        self._is_stepping = False
        self._known: dict[int, Known] = {}
        self._running = Running()
        self._parts: dict[Tensor, Engine] = {}
        self._said = said
        self._said_of_parts: set[str] = set()

    @property
    def is_exposed(self) -> bool:
        """Whether somebody may have changed the state since the last step."""
        return self._exposed or any(part.is_exposed for part in self._parts.values())

    def exposed_state(self) -> defaultdict[Tensor, State]:
        """Return the state of every parameter, to read or to change."""
        self._exposed = True
        self.write_scalars()
        for part in self._parts.values():
            part.exposed_state()
        return self.kept.states

    def stay_exposed(self) -> None:
        """Keep the state of every parameter up to date from here on: compiled steps read it."""
        self._pinned = True
        self.exposed_state()

    def replace_state(self, state: defaultdict[Tensor, State]) -> None:
        """Take another state."""
        self.join()
        self.kept = Kept(state)

    def part_of(self, param: Tensor) -> Engine:
        """Return an engine with the same states, for a parameter that is stepped by itself.

        It keeps its plan from step to step. Until `join`, it is the one for this parameter.
        """
        if self._known:
            self.join()
        if param not in self._parts:
            self._parts[param] = Engine(self.kept, self._said_of_parts)
        self._exposed = False  # each part knows by itself
        return self._parts[param]

    def join(self) -> None:
        """Forget all plans, those for single parameters too."""
        self.exposed_state()
        self._known.clear()
        self._parts.clear()

    def measured(
        self,
        optimizer: Stateful,
        passes: Sequence[Pass],
        groups: Sequence[Group],
        grad_scale: Tensor | None = None,
    ) -> Sequence[Group]:
        """Return the groups with the sums of what is measured of parameters that have a gradient.

        Args:
            optimizer: Whose parameters they are.
            passes: The measurements, each of which finds the sums of earlier passes in the group.
            groups: The parameters by group.
            grad_scale: The factor of the gradients, as for `run`, which tells of errors, too.
        """
        for measures, sharing in passes:
            sums = self.sums(optimizer, measures, groups, grad_scale)
            groups = with_sums(groups, sums, sharing)
        return groups

    def sums(
        self,
        optimizer: Stateful,
        measures: Sequence[Measure | None],
        groups: Sequence[Group],
        grad_scale: Tensor | None = None,
    ) -> list[Mapping[str, Tensor | float] | None]:
        """Return the sums of what is measured in one pass, for each group; see `measured`."""
        scale = read_at_once(grad_scale)
        known = self._known_of(optimizer, groups)
        try:
            found = [
                m and self._sums(optimizer, Work(measuring(m), scale, measures=True), of, group)
                for m, of, group in zip(measures, known, groups, strict=True)
            ]
            self._is_stepping = False
            return found
        finally:
            self._release()

    def run(
        self,
        optimizer: Stateful,
        rules: Sequence[tuple[Rule, object]],
        groups: Sequence[Group],
        grad_scale: Tensor | None = None,
        verdict: Verdict | None = None,
    ) -> bool:
        """Run a rule for every parameter that has a gradient, and tell whether it was run.

        Args:
            optimizer: Whose parameters they are.
            rules: The rule of each group, called as `rule(state, group, grad, param)`; and, if it
                is a function of its arguments alone, what stands for it, see `Work`.
            groups: The parameters by group.
            grad_scale: The factor of the gradients, as `torch.amp.GradScaler` sets it, or None.
            verdict: The decision of a device on the step. Where its kernels take the whole step,
                the host does not wait for it; a step that was left out is put right before the
                next one.

        Raises:
            RuntimeError: A gradient is sparse and the rule does not take it, no engine can run the
                rule, or a graph captures what it cannot repeat. Nothing has been changed then.
        """
        works = works_of(rules, read_at_once(grad_scale))
        known = self._known_of(optimizer, groups)
        try:
            taken = self._step(optimizer, zip(works, known, groups, strict=True), verdict)
            self._is_stepping = False
        finally:
            self._release()
        if self._exposed:
            self._exposed = self._is_held()
            if self._exposed:
                self.write_scalars()
        return taken

    def _known_of(self, optimizer: Stateful, groups: Sequence[Group]) -> list[Known]:
        """Return what is known of each group, and forget groups that are there no more."""
        check_captured(optimizer, groups)
        self._running.settle()
        if self._is_stepping:  # a step was cut off, and may have left a plan half made
            self.join()
        self._is_stepping = True
        known = self._known
        keys = [id(group["params"]) for group in groups]
        if keys != list(known):
            lists = {id(group["params"]): group["params"] for group in groups}
            for key in known.keys() - lists.keys():
                known[key].write_scalars()
            self._known = {k: known.get(k) or Known(v, self._said) for k, v in lists.items()}
        return [self._known[key] for key in keys]

    def _release(self) -> None:
        """Let go of the gradients that were kept alive for a step."""
        for known in self._known.values():
            if known.bound is not None:
                known.bound.release()

    def _planned(self, optimizer: Stateful, work: Work, known: Known, group: Group) -> Planned:
        """Plan the step of one group anew; write nothing but state, in another form."""
        optimizer.check_listed()
        self.write_scalars()
        known.bound = None
        dense, sparse = apart(with_gradient(optimizer, group))
        states = self.kept.of_group(optimizer, group, [*dense.params, *sparse.params])
        planned = Planner(optimizer, work, states).on_fastest(known, filled(dense))
        if sparse.params:
            call = loop.planned(optimizer, states, work, sparse)
            planned = planned._replace(calls=[*planned.calls, call], bound=None)
            for step in planned.kernels:
                step.binding.cohort.is_broken = True  # it is not kept
        return planned._replace(states=states)

    def _replanned(self, work: Work, known: Known, group: Group) -> Turn | None:
        """Plan a step with the parameters as they were bound, or return None if that is not so."""
        bound = known.bound
        if bound is None or self._exposed or not known.is_bound_for(group):
            return None
        try:
            if isinstance(bound, ForeachBatch):
                calls = bound.plan(work, group)
                return None if calls is None else Turn(known, group, calls=calls)
            ready = bound.plan(work, group)
            return None if ready is None else Turn(known, group, ready.kernels, ready.staged)
        except (UnfusableError, Request):
            return None

    def _step(
        self,
        optimizer: Stateful,
        tasks: Iterable[tuple[Work, Known, Group]],
        verdict: Verdict | None,
    ) -> bool:
        """Plan the step of all groups, and take it, unless a verdict is to leave it out."""
        turns: list[Turn] = []
        self.kept.begin()
        try:
            for work, known, group in tasks:
                turn = self._replanned(work, known, group)
                if turn is None:
                    anew = self._planned(optimizer, work, known, group)
                    turn = Turn(known, group, anew.kernels, anew.calls, anew)
                turns.append(turn)
            if verdict is None and not any(turn.calls or turn.anew for turn in turns):
                self._running.run([step for turn in turns for step in turn.kernels])
                return True
            if verdict is not None and not left_to_device(turns, verdict.tensor):
                if verdict.is_refusal():
                    self.kept.undo()
                    return False
                verdict = None
            Turns(self.kept, turns, partial(self._running.run, verdict=verdict)).take()
        except BaseException:
            self.kept.undo()
            raise
        self.kept.begin()  # so that it holds on to no state
        return True

    def _sums(
        self, optimizer: Stateful, work: Work, known: Known, group: Group
    ) -> Mapping[str, Tensor | float]:
        """Return the sums of what is measured over the parameters of one group."""
        from schuss.engines.kernels.fused import sums

        turn = (
            None if isinstance(known.bound, ForeachBatch) else self._replanned(work, known, group)
        )
        if turn is not None and not turn.calls:
            try:
                return sums(turn.kernels)
            except UnfusableError:
                pass
        optimizer.check_listed()
        self.write_scalars()
        batch = filled(with_gradient(optimizer, group))
        states = self.kept.copied(optimizer, group, batch.params)
        planner = Planner(optimizer, work, states)
        planned = planner.on_fastest(known, batch)
        if planned.engine == "fused":
            try:
                return sums(planned.kernels, planned.calls)
            except UnfusableError:
                planned = planner.on("loop", known, batch)
        if planned.engine != "foreach":
            known.bound = None  # a measurement on the loop may keep what it sees of the states
        for call in planned.calls:
            call()
        for piece in planned.pieces:
            piece.cohort.write_scalars()
        return added_up([states[param] for param in batch.params])

    def write_scalars(self) -> None:
        """Write the numbers that cohorts keep into the states."""
        self._running.settle()
        everything: list[Known | Engine] = [*self._known.values(), *self._parts.values()]
        for each in everything:
            each.write_scalars()

    def _is_held(self) -> bool:
        """Tell whether somebody else refers to the dictionaries of the state."""
        # By the attribute and the argument.
        if self._pinned or sys.getrefcount(self.kept.states) > 2:
            return True
        bound = [known.bound for known in self._known.values() if known.bound]
        states = [state for each in bound for cohort in each.cohorts for state in cohort.states]
        # By the dictionary of all, the cohort, the list above, the argument.
        return any(count > 4 for count in map(sys.getrefcount, states))

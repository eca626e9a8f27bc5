"""The engine of one optimizer: keeps the state, and runs the rule on what is fastest and right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from schuss.contract import Group, Measure, Pass, Rule, State, Stateful, Work
from schuss.engines import capturing
from schuss.engines.errors import Request, UnfusableError
from schuss.engines.foreach.batch import ForeachBatch
from schuss.engines.groups import apart, check_captured, filled, with_gradient, works_of
from schuss.engines.known import Known, KnownGroups
from schuss.engines.planning import Planned, Planner
from schuss.engines.running import Running
from schuss.engines.states import Kept
from schuss.engines.sums import added_up, measuring, with_sums
from schuss.engines.turns import Turn, Turns, left_to_device
from schuss.engines.verdict import Verdict, read_at_once

if TYPE_CHECKING:
    from schuss.engines.repetition import Repetition


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
        self._known = KnownGroups(said)
        self._running = Running()
        self._repetition: Repetition | None = None
        self._parts: dict[Tensor, Engine] = {}
        self._said_of_parts: set[str] = set()

    @property
    def is_exposed(self) -> bool:
        """Whether somebody may have changed the state since the last step."""
        if self._exposed or not self._parts:
            return self._exposed
        return any(part.is_exposed for part in self._parts.values())

    def exposed_state(self) -> defaultdict[Tensor, State]:
        """Return the state of every parameter, to read or to change."""
        self._exposed, self._repetition = True, None  # which holds it, too
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
            self._known.release()

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
        is_plain = grad_scale is None and verdict is None
        try:
            if is_plain and self._repeated(rules, groups):
                return True
            works = works_of(rules, read_at_once(grad_scale))
            known = self._known_of(optimizer, groups)
            taken = self._step(optimizer, works, known, groups, verdict)
            self._is_stepping = False
        finally:
            self._known.release()
        if self._exposed:
            self._exposed = self._is_held()
            if self._exposed:
                self.write_scalars()
        return taken

    def _repeated(self, rules: Sequence[tuple[Rule, object]], groups: Sequence[Group]) -> bool:
        """Take the step before again, with other numbers and gradients, if nothing else differs."""
        repetition, self._repetition = self._repetition, None
        if not repetition or self._exposed or self._is_stepping or capturing.captured_device():
            return False
        self._running.settle()
        self._is_stepping = True
        if repetition.prepare(rules, groups):
            self._running.take(repetition)
            self._repetition = repetition
        self._is_stepping = False
        return self._repetition is not None

    def _known_of(self, optimizer: Stateful, groups: Sequence[Group]) -> list[Known]:
        """Return what is known of each group, and forget groups that are there no more."""
        check_captured(optimizer, groups)
        self._running.settle()
        if self._is_stepping:  # a step was cut off, and may have left a plan half made
            self.join()
        self._is_stepping = True
        return self._known.of(groups)

    def _planned(self, optimizer: Stateful, work: Work, known: Known, group: Group) -> Planned:
        """Plan the step of one group anew; write nothing but state, in another form."""
        optimizer.check_listed()
        self.write_scalars()
        known.bound = None
        dense, sparse = apart(with_gradient(optimizer, group))
        states = self.kept.of_group(optimizer, group, [*dense.params, *sparse.params])
        return Planner(optimizer, work, states).planned(known, filled(dense), sparse)

    def _replanned(self, work: Work, known: Known, group: Group) -> Turn | None:
        """Plan a step with the parameters as they were bound, or return None if that is not so."""
        bound = known.bound
        reached = self.kept.states if self._exposed else None
        if bound is None or not known.is_bound_for(group, reached):
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
        works: Sequence[Work],
        known: Sequence[Known],
        groups: Sequence[Group],
        verdict: Verdict | None,
    ) -> bool:
        """Plan the step of all groups, and take it, unless a verdict is to leave it out."""
        turns: list[Turn] = []
        self.kept.begin()
        try:
            for work, of_group, group in zip(works, known, groups, strict=True):
                turn = self._replanned(work, of_group, group)
                if turn is None:
                    anew = self._planned(optimizer, work, of_group, group)
                    turn = Turn(of_group, group, anew.kernels, anew.calls, anew)
                turns.append(turn)
            if verdict is None and not any(turn.calls or turn.anew for turn in turns):
                run = self._running.run([step for turn in turns for step in turn.kernels])
                if run is not None:
                    from schuss.engines.repetition import repetition_of

                    self._repetition = repetition_of(turns, works, run)
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
            with suppress(UnfusableError):
                return sums(turn.kernels)
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
        planned.call()
        return added_up([states[param] for param in batch.params])

    def write_scalars(self) -> None:
        """Write the numbers that cohorts keep into the states."""
        self._running.settle()
        self._known.write_scalars()
        for part in self._parts.values():
            part.write_scalars()

    def _is_held(self) -> bool:
        """Tell whether somebody else refers to the dictionaries of the state."""
        cohorts = [cohort for bound in self._known.bound() for cohort in bound.cohorts]
        return self._pinned or self.kept.is_held([s for each in cohorts for s in each.states])

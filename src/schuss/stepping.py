"""How an optimizer takes a step: closures, transforms, and the engine that runs the rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from schuss import modes
from schuss.contract import Group, Measure, Pass, Rule, State
from schuss.engines import (
    CompiledSteps,
    Engine,
    Explanation,
    Memory,
    Verdict,
    explained,
    footprint,
    keeps_numbers,
    uninterrupted,
)
from schuss.evaluation import Evaluation
from schuss.groupchecks import GroupChecks
from schuss.lostupdates import LostUpdates
from schuss.release import Release, refuse_scaler
from schuss.stepped import (
    Stepped,
    called,
    due_gradients,
    for_all,
    params_of,
    rules_of,
    takes_scaled_gradients,
)
from schuss.storage.codecs.policy import keeps_codes
from schuss.transforms.chain import Chain


class Steps:
    """Takes the steps of one optimizer: calls the other parts in their order.

    Args:
        chain: The transforms.
        checks: The checks of the groups.
        evaluation: It knows whether the parameters are the trained weights.
        compiled: The steps that Dynamo traces.
        engine: The engine that keeps the state, and takes the other steps.
    """

    def __init__(
        self,
        chain: Chain,
        checks: GroupChecks,
        evaluation: Evaluation,
        compiled: CompiledSteps,
        engine: Engine,
    ) -> None:
        self._chain = chain
        self._checks = checks
        self._evaluation = evaluation
        self._compiled = compiled
        self._engine = engine
        self._release: Release | None = None
        self._lost = LostUpdates()

    @contextmanager
    def releasing(
        self, optimizer: Stepped, params: Sequence[Tensor], *, is_late: bool
    ) -> Iterator[None]:
        """Step each of some parameters as soon as it has its gradient; see `Release`."""
        if self._release is not None:
            raise RuntimeError(
                f"{type(optimizer).__name__} is releasing gradients already; leave that block first"
            )
        parts = (self._checks, self._evaluation, self._compiled, self._engine)
        release = Release(self._chain, *parts, is_late=is_late)
        release.begin(optimizer, params)
        self._release = release
        try:
            yield
        finally:
            self._release = None
            release.end()

    def takes_scaled_gradients(self, optimizer: Stepped) -> bool:
        """Tell whether a `GradScaler` hands over its scale; it asks before it calls `step`."""
        if self._release is not None:
            refuse_scaler(optimizer)
        return takes_scaled_gradients(optimizer.param_groups)

    def is_decided_on_the_host(self, optimizer: Stepped) -> bool:
        """Tell whether a step depends on numbers that are read before its end, or on codes.

        Dynamo would trace what an encoded tensor does with its codes, and leaves them behind.
        """
        return (
            optimizer.overrides("summed")
            or self._release is not None
            or any(map(self._chain.overriding, ("skips", "refusal", "holds_back", "climb")))
            or optimizer.projects()
            or getattr(optimizer, "found_inf", None) is not None
            or any(keeps_codes(group.get("state_storage")) for group in optimizer.param_groups)
        )

    def take_outside_of_graphs(
        self, optimizer: Stepped, closure: Callable[[], float] | None
    ) -> float | None:
        """Take a step as `take` does, with a break of the graph that Dynamo is tracing."""
        return torch.compiler.disable(self.take)(optimizer, closure)  # type: ignore[no-any-return]

    # What torch.compiler.disable sets, which would import Dynamo: a second. With fullgraph=True the
    # error says why.
    vars(take_outside_of_graphs).update(
        _torchdynamo_disable=True,
        _torchdynamo_disable_msg="the host decides something in this step, see Optimizer.step",
    )

    def take(self, optimizer: Stepped, closure: Callable[[], float] | None) -> float | None:
        """Take one step with every parameter that has a gradient; see `Optimizer.step`."""
        is_traced = torch.compiler.is_compiling()
        if is_traced and self.is_decided_on_the_host(optimizer):
            return self.take_outside_of_graphs(optimizer, closure)
        if not optimizer.param_groups:
            raise RuntimeError(
                f"{type(optimizer).__name__} has no parameters: it is a recipe, for a part of a "
                "Composite; give it parameters to take steps with them"
            )
        if self._release is not None:
            loss = called(closure)
            self._release.close(optimizer)
            return loss
        if self._evaluation.is_on:
            self._evaluation.check_training(optimizer)
        if not is_traced:
            self._checks.check_changed(optimizer)
        loss = None
        if closure is not None:
            loss = called(closure)
            if not is_traced:
                self._checks.check_changed(optimizer)
        chain = self._chain
        if not chain.transforms:
            passes = optimizer.passes()
            run = self._run if is_traced or passes or modes.are_on() else self._run_eagerly
            run(optimizer, None, passes)
        elif chain.holds_back(optimizer.param_groups):
            with uninterrupted():
                if self.run(optimizer, chain.hold, chain.hold_measures()):
                    chain.held(optimizer.param_groups)
        else:
            if chain.overriding("climb"):
                self._climb(optimizer, closure)
            with due_gradients(chain, params_of(optimizer), self._state_of):
                self._run(optimizer, None, optimizer.passes())
        return loss

    @modes.outside_of_modes
    def explained(self, optimizer: Stepped) -> Explanation:
        """Return how a step would be taken; see `Optimizer.explain`."""
        rules, groups = self._rules_and_groups(optimizer)
        with torch.no_grad():
            return explained(self._engine, optimizer, rules, groups, optimizer.passes())

    @modes.outside_of_modes
    def memory(self, optimizer: Stepped) -> Memory:
        """Return the memory of the optimizer and of its steps; see `Optimizer.memory`."""
        rules, groups = self._rules_and_groups(optimizer)
        return footprint(self._engine, optimizer, rules, groups, optimizer.passes())

    def _rules_and_groups(self, optimizer: Stepped) -> tuple[list[Rule], Sequence[Group]]:
        self._checks.check_changed(optimizer)
        groups = self._checks.for_rules(optimizer, optimizer.param_groups)
        return [rule for rule, _ in rules_of(optimizer, groups)], groups

    def run(self, optimizer: Stepped, rule: Rule, measures: Sequence[Measure] = ()) -> bool:
        """Run a rule for every parameter that has a gradient, and tell whether it was run.

        Args:
            optimizer: Whose parameters they are.
            rule: The rule, the same for all groups.
            measures: The measurements whose sums the rule needs.
        """
        if self._release is not None:
            self._release.check_closed(optimizer)
        return self._run(optimizer, rule, for_all(measures, optimizer.param_groups))

    def _run(self, optimizer: Stepped, rule: Rule | None, passes: Sequence[Pass]) -> bool:
        """Run a rule, or take a step with the rule of each group, and tell whether it was run."""
        if torch.compiler.is_compiling():
            scale: Tensor | None = getattr(optimizer, "grad_scale", None)
            rules = [rule or optimizer.algorithm_of(g).whole_rule() for g in optimizer.param_groups]
            self._compiled.run(optimizer, self._engine, rules, scale, passes)
            return True
        is_whole = not self._chain.transforms and not passes  # else others count, too
        if is_whole and not modes.are_on():
            return self._run_eagerly(optimizer, rule, passes)
        with modes.left(), nullcontext() if is_whole else uninterrupted():
            return self._run_eagerly(optimizer, rule, passes)

    def _run_eagerly(self, optimizer: Stepped, rule: Rule | None, passes: Sequence[Pass]) -> bool:
        self._compiled.take_numbers(optimizer, self._engine)
        given = vars(optimizer)  # by a GradScaler
        scale: Tensor | None = given.get("grad_scale")
        found_inf: Tensor | None = given.get("found_inf")
        is_alone = not (self._chain.transforms or passes) and scale is found_inf is None
        was_enabled = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)  # noqa: FBT003  # less than torch.no_grad() takes
        try:
            if not is_alone:
                return self._run_around(optimizer, rule, passes, scale, found_inf)
            groups = self._checks.for_rules(optimizer, optimizer.param_groups)
            sample = self._lost.begin(groups) if rule is None else None
            taken = self._engine.run(optimizer, rules_of(optimizer, groups, rule), groups)
            if sample:
                self._lost.end(optimizer, sample)
        finally:
            torch._C._set_grad_enabled(was_enabled)
        return taken

    def _run_around(
        self,
        optimizer: Stepped,
        rule: Rule | None,
        passes: Sequence[Pass],
        scale: Tensor | None,
        found_inf: Tensor | None,
    ) -> bool:
        """Run a rule with what is measured before it, and ask transforms and a scaler about it."""
        chain, is_step = self._chain, rule is None
        waits = not is_step or chain.waits
        if found_inf is not None and (waits or not keeps_numbers(found_inf.device)):
            if found_inf.item():
                self._put_away(optimizer, chain.call_skipped)
                return False
            found_inf = None
        groups = self._checks.for_rules(optimizer, optimizer.param_groups)
        if passes:
            groups = self._engine.measured(optimizer, passes, groups, scale)
        is_sure = found_inf is None and not chain
        refusals = [] if waits or is_sure else chain.refusals(groups, optimizer.param_groups)
        verdict = None if waits or is_sure else Verdict.on_device(refusals, found_inf)
        is_host = verdict is None and bool(chain)
        if is_host and chain.skips_call(groups, optimizer.param_groups):
            self._put_away(optimizer, chain.call_skipped)
            return False
        if is_host and is_step and chain.skips_step(groups, optimizer.param_groups):
            self._put_away(optimizer, chain.step_skipped)
            chain.stepped(optimizer.param_groups)
            return False
        if is_step and passes and optimizer.overrides("summed"):
            groups = self._summed(optimizer, groups)
        sample = self._lost.begin(groups) if is_step and verdict is None else None
        rules = rules_of(optimizer, groups, rule)
        taken = self._engine.run(optimizer, rules, groups, scale, verdict)
        if sample:
            self._lost.end(optimizer, sample)
        if is_step and chain:
            chain.stepped(optimizer.param_groups)
        return taken

    def _summed(self, optimizer: Stepped, groups: Sequence[Group]) -> Sequence[Group]:
        """Return groups with the hyper-parameters that the optimizer makes of sums."""
        optimizer.summed(groups)
        changed = self._checks.for_rules(optimizer, optimizer.param_groups)
        return [{**group, **now} for group, now in zip(groups, changed, strict=True)]

    def _put_away(self, optimizer: Stepped, rule: Rule) -> None:
        """Let the transforms put away what they prepared for a step that is not taken."""
        if self._chain.overriding("skipped"):
            groups = self._checks.for_rules(optimizer, optimizer.param_groups)
            self._engine.run(optimizer, [(rule, None)] * len(groups), groups)

    def _climb(self, optimizer: Stepped, closure: Callable[[], float] | None) -> None:
        """Go to where the transforms want the gradient, and take it there."""
        if closure is None:
            raise RuntimeError(
                f"{self._chain.overriding('climb')[0]!r} needs the gradient of a second point: "
                "give step a closure that clears the gradients, computes the loss and its "
                "gradients, and returns the loss"
            )
        climbed = [p for p in params_of(optimizer) if p.grad is not None]
        self.run(optimizer, self._chain.climb, self._chain.climb_measures())
        try:
            with torch.enable_grad():
                closure()
        except BaseException:
            self._return_from_climb(climbed)
            raise
        # The others return in their step.
        self._return_from_climb([param for param in climbed if param.grad is None])

    def _state_of(self, param: Tensor) -> State:
        return self._engine.exposed_state()[param]

    def _return_from_climb(self, params: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for param in params:
                self._chain.return_from_climb(self._state_of(param), param)

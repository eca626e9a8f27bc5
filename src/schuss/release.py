"""Gradient release: each parameter is stepped in the backward pass, and its gradient freed at once.

torch calls a hook of a parameter as soon as all that it contributes to its gradient has been added
up. Here the hook steps this one parameter and drops the gradient. So the gradients of a model never
lie in memory together. The call of `step` after the backward pass ends the step: it takes the
parameters that still have a gradient, and counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import torch
from torch import Tensor

from schuss.contract import Group, Measure, Rule, State
from schuss.engines import CompiledSteps, Engine, uninterrupted
from schuss.evaluation import Evaluation
from schuss.groupchecks import GroupChecks
from schuss.latesums import Given, LateSums
from schuss.modes import outside_of_modes
from schuss.stepped import Stepped, due_gradients, rules_of
from schuss.transforms.chain import Chain

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle


class Call(NamedTuple):
    """A step that has begun, with all that is decided once for its parameters.

    Attributes:
        is_held: Whether the gradients are held back, for a later step.
        groups: The groups, as rules see them.
        rules: The rule of each group, and what stands for it; None where nothing is done.
        measures: For each group, what is measured of its parameters, and in which pass.
        places: The number of the group of each parameter.
        taken: The parameters that have been stepped.
        late: Those of them that were stepped by the call of `step`, which leaves gradients alone.
    """

    is_held: bool
    groups: Sequence[Group]
    rules: Sequence[tuple[Rule, object] | None]
    measures: Sequence[Sequence[tuple[int, Measure]]]
    places: dict[Tensor, int]
    taken: set[Tensor]
    late: set[Tensor]


class Release:
    """Steps parameters one by one, each when its gradient is there.

    A step is open from the first gradient until `close`.

    Args:
        chain: The transforms.
        checks: The checks of the groups.
        evaluation: It knows whether the parameters are the trained weights.
        compiled: The steps that Dynamo traces.
        engine: The engine that keeps the state, and has an engine for each parameter.
        is_late: Whether rules may be given the sums of the step before.
    """

    def __init__(
        self,
        chain: Chain,
        checks: GroupChecks,
        evaluation: Evaluation,
        compiled: CompiledSteps,
        engine: Engine,
        *,
        is_late: bool,
    ) -> None:
        self._chain = chain
        self._checks = checks
        self._evaluation = evaluation
        self._compiled = compiled
        self._engine = engine
        self._is_late = is_late
        self._sums = LateSums()
        self._call: Call | None = None
        self._alone: dict[Tensor, list[Tensor]] = {}
        self._handles: list[RemovableHandle] = []
        self._lock = RLock()  # there is a thread of autograd for each device

    def begin(self, optimizer: Stepped, params: Iterable[Tensor]) -> None:
        """Step some parameters in the backward pass from here on.

        Raises:
            ValueError: A step needs all gradients at once.
        """
        self._checks.check_changed(optimizer)
        self._check(optimizer)
        self._engine.join()

        def step(param: Tensor) -> None:
            self._take_in_backward(optimizer, param)

        trained = [param for param in params if param.requires_grad]
        self._handles = [param.register_post_accumulate_grad_hook(step) for param in trained]

    def end(self) -> None:
        """Leave gradients alone again."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._engine.join()

    def check_closed(self, optimizer: Stepped) -> None:
        """Refuse what needs gradients.

        Raises:
            RuntimeError: A step is open, so that some gradients have been released.
        """
        if self._call is not None:
            raise RuntimeError(
                f"{type(optimizer).__name__} has stepped parameters in this backward pass, and "
                "their gradients are gone; take a backward pass for anything but a step outside "
                "of `with optimizer.releasing()`"
            )

    @outside_of_modes
    def close(self, optimizer: Stepped) -> None:
        """End a step: step the parameters that still have a gradient, and count.

        Raises:
            RuntimeError: A parameter has got a gradient again.
        """
        with self._lock, torch.no_grad(), uninterrupted():
            call = self._call or self._opened(optimizer)
            params = list(call.places)
            waiting = [p for p in params if p.grad is not None and p not in call.late]
            for param in waiting:
                self._refuse_again(optimizer, call, param)
            for param in waiting:
                self._take(optimizer, call, param)
                call.late.add(param)
            if call.is_held:
                self._chain.held(optimizer.param_groups)
            else:
                self._take_due(optimizer, call)
                self._chain.stepped(optimizer.param_groups)
                self._sums.close()
            self._call = None

    @outside_of_modes
    def _take_in_backward(self, optimizer: Stepped, param: Tensor) -> None:
        """Step one parameter, and free its gradient."""
        with self._lock, torch.no_grad(), uninterrupted():
            call = self._call or self._opened(optimizer)
            if param not in call.places:  # it has been taken out of its group
                return
            self._refuse_again(optimizer, call, param)
            self._take(optimizer, call, param)
            param.grad = None

    def _opened(self, optimizer: Stepped) -> Call:
        """Begin a step: decide what is the same for all parameters; an error changes nothing."""
        self._evaluation.check_training(optimizer)
        self._checks.check_changed(optimizer)
        self._check(optimizer)
        self._compiled.take_numbers(optimizer, self._engine)
        is_held = self._chain.holds_back(optimizer.param_groups)
        groups = self._checks.for_rules(optimizer, optimizer.param_groups)
        given = Given(groups, [()] * len(groups), [True] * len(groups))
        if not is_held:
            given = self._given(optimizer, groups)
        rules = rules_of(optimizer, given.groups, self._chain.hold if is_held else None)
        skipped = (self._chain.step_skipped, None) if self._chain.overriding("skipped") else None
        places = {p: n for n, group in enumerate(groups) for p in group["params"]}
        self._call = Call(
            is_held,
            given.groups,
            [r if ready else skipped for r, ready in zip(rules, given.are_ready, strict=True)],
            given.measures,
            places,
            set(),
            set(),
        )
        return self._call

    def _given(self, optimizer: Stepped, groups: Sequence[Group]) -> Given:
        """Return the groups of a step, with the sums of the step before."""
        passes = optimizer.passes()
        given = self._sums.given(passes, groups)
        if passes and any(given.are_ready) and optimizer.overrides("summed"):
            optimizer.summed(given.groups)
            changed = self._checks.for_rules(optimizer, optimizer.param_groups)
            both = zip(given.groups, changed, strict=True)
            given = given._replace(groups=[{**group, **now} for group, now in both])
        return given

    def _take(self, optimizer: Stepped, call: Call, param: Tensor) -> None:
        """Step one parameter, as a group of its own."""
        number = call.places[param]
        alone = self._alone.setdefault(param, [param])
        group = {**call.groups[number], "params": alone}
        engine = self._engine.part_of(param)
        for at, measure in call.measures[number]:
            [found] = engine.sums(optimizer, [measure], [group])
            self._sums.add(at, number, found or {})
        rule = call.rules[number]
        if rule is not None:
            engine.run(optimizer, [rule], [group])
        call.taken.add(param)

    def _take_due(self, optimizer: Stepped, call: Call) -> None:
        """Step the parameters that have no gradient now, but had one that was held back."""
        if not self._chain.overriding("is_due"):
            return
        others = [param for param in call.places if param not in call.taken]
        due = [param for param in others if self._chain.is_due(self._read(param))]
        with due_gradients(self._chain, due, self._state_of):
            for param in due:
                self._take(optimizer, call, param)

    def _read(self, param: Tensor) -> State:
        """Return the state of a parameter, only to be read."""
        self._engine.part_of(param).write_scalars()
        return self._engine.kept.states.get(param) or {}

    def _state_of(self, param: Tensor) -> State:
        return self._engine.part_of(param).exposed_state()[param]

    def _refuse_again(self, optimizer: Stepped, call: Call, param: Tensor) -> None:
        if param in call.taken:
            raise RuntimeError(
                f"{type(optimizer).__name__}: a parameter of shape {tuple(param.shape)} has got "
                "another gradient after it was stepped; call step() after every backward pass, "
                "also after one that ended in an error (Accumulate adds up the gradients of "
                "several, and the sum of several losses needs one)"
            )

    def _check(self, optimizer: Stepped) -> None:
        """Refuse steps that need all gradients at once."""
        name = type(optimizer).__name__
        for reason in self._obstacles(optimizer):
            raise ValueError(f"{name} cannot step parameters in the backward pass: {reason}")
        if getattr(optimizer, "found_inf", None) is not None:
            refuse_scaler(optimizer)

    def _obstacles(self, optimizer: Stepped) -> Iterable[str]:
        chain = self._chain
        for transform in chain.overriding("climb"):
            yield f"{transform!r} needs the gradient of a second point; leave it out"
        for transform in (*chain.overriding("skips"), *chain.overriding("refusal")):
            yield (
                f"{transform!r} decides whether to take a step when all gradients are there; leave "
                "it out"
            )
        for option in ("differentiable", "capturable"):
            if any(group[option] for group in optimizer.param_groups):
                yield f"{option}=True needs a step apart from it; leave it out"
        if optimizer.passes() and not self._is_late:
            yield (
                f"{', '.join(optimizer.summing())} needs sums over all gradients, which are never "
                "there together; releasing(sums='previous') takes the sums of the step before, or "
                "leave it out"
            )
        for holding in chain.overriding("hold"):
            if chain.hold_measures():
                yield (
                    f"{chain.overriding('measure')[0]!r} measures gradients before {holding!r} "
                    "holds them back; put it behind in the list of transforms"
                )


def refuse_scaler(optimizer: object) -> NoReturn:
    """Refuse a `GradScaler`: it is called when parameters have been stepped with its scale.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError(
        f"{type(optimizer).__name__} has stepped the parameters in the backward pass, with "
        "gradients that a GradScaler has multiplied and can no more divide or look at; "
        "use bfloat16, which needs no scaler, or leave `with optimizer.releasing()`"
    )

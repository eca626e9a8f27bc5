"""The transforms of one optimizer, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from torch import Tensor

from schuss.contract import Group, Measure, State
from schuss.domains import Domains
from schuss.transforms.measured import HELD_ONLY, Measured
from schuss.transforms.together import checked, overriding
from schuss.transforms.transform import Transform
from schuss.transforms.unread import Rule, check_unread

Update: TypeAlias = Callable[[State, Group, Tensor, Tensor], Tensor]
"""The `update` of an optimizer."""

METHODS = tuple(
    name for name, value in vars(Transform).items() if callable(value) and name[0] != "_"
)
"""Methods that transforms override."""

WAITING = ("skips", "skipped", "hold", "held", "is_due", "climb", "stepped")
"""Methods of a transform that have to know whether a step is taken before the next line runs."""


class Chain:
    """A list of transforms, with the methods of a single one: each calls those of all, in order.

    Args:
        transforms: The transforms.

    Attributes:
        transforms: The transforms.
        waits: Whether one of them has to know at once whether a step is taken.

    Raises:
        TypeError: They are not in a list, or one is none.
        ValueError: Two are of one kind, or share a hyper-parameter.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = checked(transforms)
        self._overriding = {method: overriding(self.transforms, method) for method in METHODS}
        self._around, self._is_tried = self.overriding("around"), False
        self.waits = any(map(self.overriding, WAITING))
        holding = self.overriding("hold")
        # What comes before the one that holds back is of every call, the rest of the step.
        self._place = self.transforms.index(holding[0]) if holding else len(self.transforms)
        self._of_call = self.transforms[: self._place]
        self._holding = tuple(holding)
        self._of_step = self.transforms[self._place :]
        self._measures = self._passes(self.transforms, [])

    def __bool__(self) -> bool:
        """Tell whether there are any transforms."""
        return bool(self.transforms)

    def overriding(self, method: str) -> list[Transform]:
        """Return the transforms that override a method of `Transform`."""
        return self._overriding[method]

    def described(self, rule: Any) -> str:
        """Return the parts of a step in their order, for the representation of an optimizer.

        Args:
            rule: The optimizer.
        """
        stages = ["gradient", *map(repr, self.overriding("gradient"))]
        stages += [repr(rule.weight_decay), *map(repr, self._around), type(rule).__name__]
        stages += [*map(repr, self.overriding("update")), "parameter"]
        return " -> ".join([*stages, *map(repr, self.overriding("parameter"))])

    def defaults(self) -> dict[str, Any]:
        """Return the hyper-parameters of all transforms, for a parameter group."""
        return {key: v for each in self.transforms for key, v in each.defaults().items()}

    def domains(self) -> Domains:
        """Return the domains of the hyper-parameters of all."""
        return Domains({key: d for each in self.transforms for key, d in each.domains.items()})

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group.

        Raises:
            ValueError: One lies outside of its domain, or a graph is to repeat what Python decides.
            TypeError: One is of the wrong type.
        """
        if group["capturable"]:
            for method in (*WAITING, "holds_back", "refused"):
                for transform in self.overriding(method):
                    raise ValueError(
                        "capturable=True lets a graph repeat a step without Python, and "
                        f"{transform!r} decides or counts there in Python; leave one of them out"
                    )
        for transform in self.transforms:
            transform.check_group(group)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Add to the state of a parameter the values that the transforms remember."""
        for transform in self.transforms:
            transform.init_state(state, group, param)

    def check_parameters(self, rule: Rule, group: Group) -> None:
        """Check the parameters of one group, and the first time whether the rule can be surrounded.

        Raises:
            TypeError: A transform does not take a parameter, or the rule.
        """
        for transform in self.transforms:
            transform.check_parameters(group)
        for transform in () if self._is_tried else self._around:
            check_unread(rule, transform, group)
        self._is_tried = True

    def seen(self, group: Group, param: Tensor) -> Tensor:
        """Return what the rule begins its state with in place of a parameter."""
        for transform in self._around:
            return transform.seen(group, param)
        return param

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient that the rule is given."""
        first = self._place if state.pop(HELD_ONLY, False) else 0
        for transform in self.transforms[first:]:
            grad = transform.gradient(state, group, grad, param)
        return grad

    def around(
        self, rule: Update, state: State, group: Group, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update of the rule, as it is called by the transform around it, if any."""
        for transform in self._around:
            return transform.around(partial(rule, state, group), state, group, grad, param)
        return rule(state, group, grad, param)

    def update(
        self, state: State, group: Group, update: Tensor, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update of the rule after all transforms have changed it."""
        for transform in self.transforms:
            update = transform.update(state, group, update, grad, param)
        return update

    def parameter(self, state: State, group: Group, param: Tensor) -> None:
        """Let all transforms see or change a parameter after the step."""
        for transform in self.transforms:
            transform.parameter(state, group, param)

    def measures(self, of_optimizer: Measure | None, after: int = 0) -> list[Measure]:
        """Return the measurements before a step, one for each pass over the gradients.

        A transform that measures changed gradients needs a pass of its own, if the change depends
        on sums of an earlier pass.

        Args:
            of_optimizer: The `measure` of the optimizer, if it has one.
            after: Without the measurements of the first transforms, as many as this.
        """
        if of_optimizer is None and not after:
            return self._measures
        return self._passes(self.transforms, [m for m in (of_optimizer,) if m is not None], after)

    def hold_measures(self) -> list[Measure]:
        """Return the measurements of gradients that are held back, like `measures`."""
        return self._passes(self._of_call, [])

    def _passes(
        self, transforms: Sequence[Transform], last: Sequence[Measure], after: int = 0
    ) -> list[Measure]:
        passes: list[list[tuple[int, Measure]]] = []
        changed = True
        for place, transform in enumerate(transforms):
            if place >= after and type(transform).measure is not Transform.measure:
                passes = [*passes, []] if changed else passes
                passes[-1].append((place, transform.measure))
                changed = type(transform).gradient is not Transform.gradient
        for measure in last:
            passes = [*passes, []] if changed else passes
            passes[-1].append((len(transforms), measure))
        return [Measured(self.transforms, self._place, each) for each in passes]

    def skips_call(self, measured: Sequence[Group], groups: Sequence[Group]) -> bool:
        """Tell whether a transform refuses this call of `step`, as if it had not been made.

        Args:
            measured: The groups with the sums of what was measured.
            groups: The groups themselves.
        """
        return _any_skips(self._of_call, measured, groups)

    def skips_step(self, measured: Sequence[Group], groups: Sequence[Group]) -> bool:
        """Tell whether a transform refuses the step that held back gradients are for."""
        return _any_skips(self._of_step, measured, groups)

    def refusals(
        self, measured: Sequence[Group], groups: Sequence[Group]
    ) -> list[tuple[Tensor, Callable[[], None]]]:
        """Return numbers that are zero if the step is to be taken, and what notes that not.

        Args:
            measured: The groups with the sums of what was measured.
            groups: The groups themselves.
        """
        refusing = self.overriding("refusal")
        if not refusing:
            return []
        sums = _sums(measured)
        found = [(each, each.refusal(sums)) for each in refusing]
        return [(x, partial(each.refused, groups)) for each, x in found if x is not None]

    def holds_back(self, groups: Sequence[Group]) -> bool:
        """Tell whether one of them wants to hold the gradients back."""
        return any(transform.holds_back(groups) for transform in self._holding)

    def hold(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Keep a gradient for a later step, as the transforms before leave it."""
        for transform in self._of_call:
            grad = transform.gradient(state, group, grad, param)
        for transform in self._holding:
            transform.hold(state, group, grad, param)

    def held(self, groups: Sequence[Group]) -> None:
        """Count a call whose gradients were held back."""
        for transform in self._holding:
            transform.held(groups)

    def stepped(self, groups: Sequence[Group]) -> None:
        """Count anew, because a step was taken or skipped."""
        for transform in self._holding:
            transform.stepped(groups)

    def is_due(self, state: State) -> bool:
        """Tell whether a gradient was held back."""
        return any(transform.is_due(state) for transform in self._holding)

    def climb(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Move a parameter to where its gradient is to be taken anew."""
        for transform in self.transforms:
            transform.climb(state, group, grad, param)

    def climb_measures(self) -> list[Measure]:
        """Return the measurements before a climb, one for each pass over the gradients."""
        return [transform.measure_climb for transform in self.overriding("measure_climb")]

    def return_from_climb(self, state: State, param: Tensor) -> None:
        """Let all transforms move a parameter back to where it was before the climb."""
        for transform in self.transforms:
            transform.return_from_climb(state, param)

    def step_skipped(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Undo the preparations of all transforms for a step that is not taken."""
        for transform in self.transforms:
            transform.skipped(state, group, grad, param)

    def call_skipped(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Undo the preparations for a call, but keep the gradients that wait for another one."""
        for transform in self._of_call:
            transform.skipped(state, group, grad, param)


def _any_skips(
    transforms: Sequence[Transform], measured: Sequence[Group], groups: Sequence[Group]
) -> bool:
    if not transforms:
        return False
    sums = _sums(measured)
    wishes = [transform.skips(sums, groups) for transform in transforms]  # each may count
    for transform in transforms:
        refusal = transform.refusal(sums)
        if refusal is not None and bool(refusal != 0):
            transform.refused(groups)
            wishes.append(True)
    return any(wishes)


def _sums(measured: Sequence[Group]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for group in measured:
        found |= group.get("sums_over_all", {})
    return found

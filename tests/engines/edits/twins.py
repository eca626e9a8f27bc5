"""A plan of edits, made on an optimizer and on its twin on the loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

import schuss
from schuss.storage.codecs import policy
from tests.conformance.strangers import Ruled, normalizing, swapping
from tests.conformance.trajectories import TOLERANCE
from tests.engines.child import report
from tests.engines.edits import gradients, groups, states, tensors
from tests.engines.edits.subject import Create, Edit, Heap, Room, Subject
from tests.engines.memory.guarded import Memory

SHAPES = (((6,), (4, 3)), ((6,), (2, 3, 2, 2), ()))
"""Of the parameters, by group."""

ENGINES: dict[str, dict[str, bool]] = {
    "automatic": {},
    "fused": {"fused": True},
    "foreach": {"foreach": True},
}
ROOMS: dict[str, Callable[[], Room]] = {
    "heap": Heap,
    "page end": partial(Memory, at_end=True),
    "page start": partial(Memory, at_end=False),
}
_DTYPES = {"complex": torch.complex64, "in bfloat16": torch.bfloat16}

NOW, BEFORE, AFTER = "now", "before the step", "after the step"

_CHAIN = (schuss.ClipByGlobalNorm(1.0), schuss.EMA(0.9))
OPTIMIZERS: dict[str, Create] = {
    "SGD with momentum": partial(schuss.SGD, lr=0.1, momentum=0.9),
    "AdamW": partial(schuss.AdamW, lr=0.1),
    "Adam with amsgrad": partial(schuss.Adam, lr=0.1, amsgrad=True),
    "NovoGrad": partial(schuss.NovoGrad, lr=0.1),
    "CAME": partial(schuss.CAME, lr=0.01),
    "Prodigy": partial(schuss.Prodigy),
    "swapping": partial(Ruled, rule=swapping, lr=0.1),
    "normalizing": partial(Ruled, rule=normalizing, lr=0.1),
    "clipping and averaging": partial(schuss.Adam, lr=0.1, transforms=_CHAIN),
    "complex": partial(schuss.SGD, lr=0.1, momentum=0.9),
    "in bfloat16": partial(schuss.AdamW, lr=0.1, master_weights=True),
    "in codes": partial(schuss.AdamW, lr=0.1, state_storage="8bit"),
    "projected": partial(schuss.AdamW, lr=0.1, transforms=(schuss.GaLore(2, 3),)),
}

WRITTEN_IN_PLACE = ("SGD with momentum", "AdamW", "Prodigy", "in bfloat16")
"""Optimizers whose rule never puts another tensor into the state, as an engine does not."""

_SHARING = (states.held_is_changed, states.shared_by_two)
"""Edits after which another tensor would be something else."""

_COMPILED = (*tensors.OTHER_KERNELS, *groups.OTHER_PROGRAMS)
"""Edits that make a kernel for another precision or program, which takes a second."""

_ALL: Sequence[Edit] = (
    *tensors.DATA,
    *states.STATE,
    *groups.GROUPS,
    *_COMPILED,
    *groups.OTHER_CODES,
    *tensors.COMPLEX,
    *gradients.GRADS,
    *gradients.COMPLEX,
)
EDITS: dict[str, Edit] = {f"{e.__module__.rpartition('.')[2]}: {e.__name__}": e for e in _ALL}
_OF_GRADS = frozenset(name for name, edit in EDITS.items() if edit.__module__ == gradients.__name__)


def edits_of(optimizer: str) -> list[str]:
    """Return the names of the edits that an optimizer is to go through."""
    left_out: set[Edit] = set() if optimizer in WRITTEN_IN_PLACE else {*_SHARING}
    unlike = "REAL" if optimizer == "complex" else "COMPLEX"
    left_out |= {*getattr(tensors, unlike), *getattr(gradients, unlike)}
    if optimizer != "in codes":
        left_out |= {*groups.OTHER_CODES}
    if optimizer not in ("SGD with momentum", "Adam with amsgrad", "in bfloat16"):
        left_out |= {*_COMPILED}
    return [name for name, edit in EDITS.items() if edit not in left_out]


class Change(NamedTuple):
    """One edit.

    Attributes:
        edit: Its name.
        which: Of which parameter or group.
        seed: By which numbers.
        when: Now, or in a hook of the next step.
    """

    edit: str
    which: int
    seed: int
    when: str


class Plan(NamedTuple):
    """What to do with the twins.

    Attributes:
        optimizer: Name of the optimizer.
        engine: Name of the engine of the first twin.
        room: Name of the memory of both.
        warm: How many steps are taken first.
        changes: What is changed before each of the next steps.
        rest: How many more steps follow each of these.
    """

    optimizer: str
    engine: str
    room: str
    warm: int
    changes: Sequence[Sequence[Change]]
    rest: int


def follow(plan: Plan) -> int:
    """Follow a plan, and return how many steps the twins took together.

    Raises:
        AssertionError: They parted.
    """
    policy.SMALLEST = 2  # type: ignore[misc]  # else no small tensor is encoded
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an engine tells that it hands over to a slower one
        return _Twins(plan).follow()


class _Twins:
    """An optimizer, and the same on the loop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._steps = 0
        dtype = _DTYPES.get(plan.optimizer, torch.float32)
        self._dtype = dtype
        generator = torch.Generator().manual_seed(0)
        starts = [
            [torch.randn(shape, generator=generator, dtype=dtype) for shape in group]
            for group in SHAPES
        ]
        create = OPTIMIZERS[plan.optimizer]
        rooms: list[Room] = [ROOMS[plan.room]() for _ in range(2)]
        engine = ENGINES[plan.engine]
        self._ours = Subject(create, starts, rooms[0], on_the_loop=False, **engine)
        self._theirs = Subject(create, starts, rooms[1], on_the_loop=True, foreach=False)

    def follow(self) -> int:
        """Follow the plan."""
        report(str(self._plan))
        go_on = all(self._step(()) for _ in range(self._plan.warm))
        for changes in self._plan.changes:
            go_on = go_on and self._step(changes)
            go_on = go_on and all(self._step(()) for _ in range(self._plan.rest))
        if go_on:
            self._compare_states(self._theirs.states())
        return self._steps

    def _step(self, changes: Sequence[Change]) -> bool:
        """Step after some edits; tell whether the twins can go on."""
        self._edit([c for c in changes if c.edit not in _OF_GRADS or c.when != NOW])
        for twin in (self._ours, self._theirs):
            twin.set_gradients(1000 * self._steps)
        self._edit([c for c in changes if c.edit in _OF_GRADS and c.when == NOW])
        before, state_before = self._ours.numbers(), self._theirs.states()
        error, expected = self._ours.step(), self._theirs.step()
        hooked = any(change.when != NOW for change in changes)
        if error is None and expected is None:
            self._steps += 1
            self._compare(self._theirs.numbers())
            return True
        if error is not None and not hooked:
            self._unchanged(before, state_before, error)
        if (error is None) != (expected is None) and not (error and self._insists()):
            raise AssertionError(f"raised {error!r}, and on the loop {expected!r}") from (
                error or expected
            )
        return False

    def _edit(self, changes: Sequence[Change]) -> None:
        for edit, which, seed, when in changes:
            for twin in (self._ours, self._theirs):
                twin.edit(EDITS[edit], which, seed, when)
        if self._ours.failures != self._theirs.failures:
            found, expected = self._ours.failures, self._theirs.failures
            raise AssertionError(f"edits raised {found}, and on the loop {expected}")

    def _insists(self) -> bool:
        """Tell whether a group insists on an engine, which may be unable to take a step."""
        return any(group["fused"] or group["foreach"] for group in self._ours.groups)

    def _compare(self, expected: Sequence[Tensor]) -> None:
        for index, (found, right) in enumerate(zip(self._ours.numbers(), expected, strict=True)):
            _close(found, right, self._dtype, f"parameter {index} after {self._steps} steps")

    def _compare_states(self, expected: Sequence[dict[str, Any]]) -> None:
        for index, (found, right) in enumerate(zip(self._ours.states(), expected, strict=True)):
            if found.keys() != right.keys():
                raise AssertionError(f"state {index} has {found.keys()}, not {right.keys()}")
            for key in found:
                what = f"{key} of {index} after {self._steps} steps"
                _close(found[key], right[key], self._dtype, what)

    def _unchanged(
        self, before: Sequence[Tensor], states: Sequence[dict[str, Any]], error: Exception
    ) -> None:
        try:
            for index, (found, right) in enumerate(zip(self._ours.numbers(), before, strict=True)):
                if not _same(found, right):
                    raise AssertionError(f"{found} is not {right}, parameter {index} before")
            self._compare_states(states)
        except AssertionError as changed:
            raise AssertionError(f"a step that raised has changed something: {changed}") from error


def _same(found: Tensor, right: Tensor) -> bool:
    if found.dtype is not right.dtype or found.shape != right.shape:
        return False
    return bool(((found == right) | ((found != found) & (right != right))).all())


def _close(found: Any, right: Any, coarsest: torch.dtype, what: str) -> None:
    if not isinstance(found, Tensor) or not isinstance(right, Tensor) or right.is_meta:
        if str(found) != str(right) and not _close_numbers(found, right):
            raise AssertionError(f"{what} is {found!r}, on the loop {right!r}")
        return
    # A single number is off by more than the norm of all. Edits may make others of half precision.
    off = 10 * max(TOLERANCE[coarsest], TOLERANCE.get(right.dtype, 0.0))
    # Where large numbers have cancelled each other, what is left is as uncertain as they were.
    finite = right.detach()[right.detach().isfinite()].abs()
    least = max(off, off / 10 * float(finite.max())) if len(finite) else off
    try:
        torch.testing.assert_close(
            found, right, rtol=off, atol=least, equal_nan=True, check_dtype=False
        )
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}\n{found}\n{right}") from None


def _close_numbers(found: Any, right: Any) -> bool:
    try:
        return bool(abs(float(found) - float(right)) <= 1e-5 * abs(float(right)))
    except (TypeError, ValueError):
        return False

"""Planning the step of one group: on which engine, and what is to be done there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from schuss.contract import Batch, Rule, Stateful, States, Work
from schuss.engines import loop
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.contents import Member, Needs
from schuss.engines.cohorts.divided import divided
from schuss.engines.cohorts.tensors import own_tensors
from schuss.engines.devices.device import keeps_numbers
from schuss.engines.errors import NoDeviceKernelError, Request, UnfusableError
from schuss.engines.foreach.batch import Call, ForeachBatch, planned
from schuss.engines.groups import called_with, wanted
from schuss.engines.known import Known
from schuss.engines.memory import has_memory, strided_like, unshared
from schuss.engines.stacked.step import StackedStep
from schuss.storage.codecs import parts_of
from schuss.storage.precision import grad_dtype

if TYPE_CHECKING:
    from schuss.engines.cohorts.traces import Part
    from schuss.engines.devices.device import Kernel
    from schuss.engines.kernels.fused import FusedBatch
    from schuss.engines.kernels.step import FusedStep


class Piece(NamedTuple):
    """Parameters that are stepped together.

    Attributes:
        cohort: Their cohort.
        part: The parameters, and what is done to them.
        kernel: The kernel that does it, on the fused engine.
    """

    cohort: Cohort
    part: Part
    kernel: Kernel | None = None


class Planned(NamedTuple):
    """The work of a step for the parameters of one group.

    Attributes:
        engine: On which engine.
        calls: The functions to call; none on the fused engine.
        kernels: The kernels to run, on the fused engine.
        alive: The gradients that have to be kept alive until then.
        states: The states that it is planned with, to be adopted.
        pieces: The parameters that are stepped together; nothing on the loop.
        bound: The parameters as an engine keeps them from step to step.
        stacked: The parameters in stacks, on the stacked engine.
    """

    engine: str
    calls: Sequence[Call] = ()
    kernels: Sequence[FusedStep] = ()
    alive: Sequence[Tensor] = ()
    states: States = {}  # noqa: RUF012  # which nobody writes to
    pieces: Sequence[Piece] = ()
    bound: FusedBatch | ForeachBatch | None = None
    stacked: StackedStep | None = None

    def call(self) -> None:
        """Call the functions, and write the numbers that cohorts keep into the states."""
        for call in self.calls:
            call()
        for piece in self.pieces:
            piece.cohort.write_scalars()


class Planner:
    """Plans steps.

    Args:
        optimizer: Whose rule it is.
        work: The rule, and what is done around it.
        states: The states of the parameters that have one or need one.
    """

    def __init__(
        self,
        optimizer: Stateful,
        work: Work,
        states: States,
    ) -> None:
        self._optimizer = optimizer
        self._work = work
        self._states = states

    def planned(self, known: Known, dense: Batch, sparse: Batch) -> Planned:
        """Plan a step anew: on the fastest engine, and on the loop where gradients are sparse.

        Raises:
            RuntimeError: The group asks for an engine that cannot run the rule.
        """
        planned = self.on_fastest(known, dense)
        if sparse.params:
            call = loop.planned(self._optimizer, self._states, self._work, sparse)
            planned = planned._replace(calls=[*planned.calls, call], bound=None)
            for step in planned.kernels:
                step.binding.cohort.is_broken = True  # it is not kept
        return planned._replace(states=self._states)

    def on_fastest(self, known: Known, batch: Batch) -> Planned:
        """Plan a step anew on the fastest engine that can, and write nothing.

        Raises:
            RuntimeError: The group asks for an engine that cannot run the rule.
        """
        group = batch.group
        engines = wanted(group) if batch.params else ()
        known.look_again(_asked(self._work.rule, batch))
        for name in engines:
            if name in known.passed_over and len(engines) > 1:
                continue
            try:
                return self.on(name, known, batch)
            except UnfusableError as error:
                if len(engines) == 1:
                    option = "capturable" if group["capturable"] else name
                    raise RuntimeError(
                        f"{type(self._optimizer).__name__} with {option}=True: {error}; leave "
                        f"{option} out to run it on the fastest engine that can"
                    ) from None
                known.passed_over[name] = str(error)
                if not (isinstance(error, NoDeviceKernelError) and error.is_expected):
                    known.may_be_faster = True
                    known.warn(self._optimizer, error)
        return Planned("loop")

    def on(self, name: str, known: Known, batch: Batch) -> Planned:
        """Plan a step on one engine.

        Raises:
            UnfusableError: It cannot run the rule.
        """
        if name != "fused" and batch.group["capturable"]:
            raise RuntimeError(
                f"{type(self._optimizer).__name__} with capturable=True: no graph can capture the "
                f"{name} engine, which this needs; leave capturable out"
            )
        batch = batch._replace(grads=unshared(batch.grads, self._own_tensors(batch)))
        if name == "stacked":
            step = self._on_stacks(known, batch)
            return Planned(name, [step], stacked=step)
        if name == "loop":
            return Planned(name, [loop.planned(self._optimizer, self._states, self._work, batch)])
        found = known.needs
        try:
            return self._on_cohorts(name, known, batch)
        except UnfusableError:
            if found == Needs():
                raise
            known.needs = Needs()  # which may have been found for other hyper-parameters
            return self._on_cohorts(name, known, batch)

    def _own_tensors(self, batch: Batch) -> list[Tensor]:
        states = [self._states[param] for param in batch.params]
        kept = [v for state in states for v in state.values() if isinstance(v, Tensor)]
        return [*batch.params, *(part for tensor in kept for part in parts_of(tensor))]

    def _on_stacks(self, known: Known, batch: Batch) -> StackedStep:
        about = self._optimizer, self._states, self._work
        step = StackedStep(*about, batch, known.passed_over)
        if not known.is_stackable:
            step.check()
            known.is_stackable = True
        return step

    def _on_cohorts(self, name: str, known: Known, batch: Batch) -> Planned:
        plan = self._on_foreach if name == "foreach" else self._on_fused
        try:
            return plan(known, batch)
        except Request as request:
            known.needs = known.needs.after(request)
        return self._on_cohorts(name, known, batch)

    def _on_foreach(self, known: Known, batch: Batch) -> Planned:
        members = [Member(p, self._states[p], p.dtype) for p in batch.params]
        cohorts = divided(batch.group, members, known.needs)
        grads = dict(zip(batch.params, batch.grads, strict=True))
        work = self._work._replace(pure=None)  # these cohorts may not be there in the next step
        calls: list[Call] = []
        pieces: list[Piece] = []
        for cohort in cohorts:
            given = [grads[param] for param in cohort.params]
            call, parts = planned(cohort, work, batch.group, given)
            calls.append(call)
            pieces += [Piece(cohort, part) for part in parts]
        return Planned("foreach", calls, pieces=pieces, bound=self._bound(known, batch, cohorts))

    def _bound(self, known: Known, batch: Batch, cohorts: Sequence[Cohort]) -> ForeachBatch | None:
        """Return what the foreach engine keeps of a group, or None if it is planned in each step.

        It is planned in each step where a faster engine was passed over for a reason that may go.
        """
        from schuss.engines.kernels.gradients import Gradients

        own = [tensor for cohort in cohorts for tensor in own_tensors(cohort)]
        if known.may_be_faster or not all(map(has_memory, own)):
            return None
        likes = [strided_like(grad) for grad in batch.grads]
        look = Gradients(batch.group["params"], batch.params, own, likes, begun=self._states)
        return ForeachBatch(cohorts, batch.params, look)

    def _may_come(self, param: Tensor) -> bool:
        """Tell whether a parameter without a gradient may get one that a kernel takes."""
        tensors = [param.grad, *self._states[param].values()]
        return not any(isinstance(x, Tensor) and x.layout is not torch.strided for x in tensors)

    def _on_fused(self, known: Known, batch: Batch) -> Planned:
        from schuss.engines.kernels.fused import FusedBatch

        group = batch.group
        for param in batch.params if group["capturable"] else ():
            if not keeps_numbers(param.device):
                raise UnfusableError(f"there is no graph to capture a step on {param.device}")
        grads = dict(zip(batch.params, batch.grads, strict=True))
        members = [
            Member(param, self._states[param], grad_dtype(param, grads.get(param)))
            for param in group["params"]
            if param in self._states and (param in grads or self._may_come(param))
        ]
        cohorts = divided(group, members, known.needs)
        fused = FusedBatch(cohorts, list(group["params"]), self._states)
        given = [[grads.get(param) for param in cohort.params] for cohort in cohorts]
        kernels, staged, alive = fused.plan_with(self._work, group, given)
        pieces = [Piece(s.binding.cohort, s.part, s.launch.kernel) for s in kernels]
        pieces += [Piece(s.cohort, part, kernel) for s in staged for part, kernel in s.kernels()]
        return Planned("fused", staged, kernels, alive, {}, pieces, fused)


def _asked(rule: Rule, batch: Batch) -> tuple[object, object]:
    """Return what decides which engines can run a rule."""
    kinds = tuple((id(p), p.dtype, p.device, p.shape, p.stride()) for p in batch.params)
    return called_with(rule, batch.group), kinds

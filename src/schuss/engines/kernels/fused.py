"""The fused engine: what the program of a cohort does, in one kernel for all of its parameters."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from schuss.contract import Group, States, Work
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.tensors import own_tensors
from schuss.engines.cohorts.untouched import are_untouched
from schuss.engines.errors import UnfusableError
from schuss.engines.kernels.binding import Binding
from schuss.engines.kernels.computed import addresses
from schuss.engines.kernels.gradients import Gradients
from schuss.engines.kernels.staged import StagedStep
from schuss.engines.kernels.step import FusedStep

CALM = 16
"""Steps without a look at the states by somebody else, until tensors that nobody refers to are not
looked at in every step any more. A program that reads the states in every few steps stays below."""


class Prepared(NamedTuple):
    """A step that is ready to be taken.

    Attributes:
        kernels: The kernels to run.
        staged: The steps of parameters whose rule works on whole tensors, to be called.
        alive: The gradients that have to be kept alive until then, unless the batch does so.
    """

    kernels: list[FusedStep]
    staged: list[StagedStep]
    alive: Sequence[Tensor] = ()


class FusedBatch:
    """The cohorts of a group, bound to memory, from step to step.

    Args:
        cohorts: The cohorts.
        params: The parameters of the group, those without a gradient and a state too.
        begun: Those that have a state.

    Attributes:
        missing: How many parameters had no gradient in the last look.

    Raises:
        UnfusableError: There is no kernel for such tensors.
    """

    def __init__(
        self, cohorts: Sequence[Cohort], params: Sequence[Tensor], begun: Container[Tensor] = ()
    ) -> None:
        self.cohorts = cohorts
        self._bindings = [Binding(cohort) for cohort in cohorts]
        likes = {id(p): f for b in self._bindings for p, f in b.likes_by_param()}
        batch = [param for param in params if id(param) in likes]
        index = {id(param): number for number, param in enumerate(batch)}
        self._indices = [np.array([index[id(param)] for param in c.params]) for c in cohorts]
        own = [tensor for cohort in cohorts for tensor in own_tensors(cohort)]
        states = [tensor for binding in self._bindings for tensor in binding.hidden_tensors()]
        fitting = [likes[id(param)] for param in batch]
        self._gradients = Gradients(params, batch, own, fitting, states, begun)
        self._calm: int | None = None
        self._begins: list[NDArray[np.int64]] | None = None
        self.missing = 0
        self._unseen: Sequence[Tensor] = ()
        self._shown: set[Binding] = set()

    def is_broken(self) -> bool:
        """Tell whether some cohort is none any more."""
        for cohort in self.cohorts:  # noqa: SIM110  # any() takes longer than the rest
            if cohort.is_broken:
                return True
        return False

    def is_untouched(self, states: States) -> bool:
        """Tell whether a step may go on, though somebody else could reach the states.

        The same caller may come again, and may have kept a tensor. So all are looked at from
        here on, until `CALM` steps have passed without a question; then the step is planned anew.

        Args:
            states: The states of all parameters, as they are now.
        """
        if not are_untouched(self.cohorts, self._gradients, states):
            return False
        self._gradients.show_all()
        self._calm = 0
        return True

    def release(self) -> None:
        """Let go of the gradients that `begins` has kept alive."""
        self._begins = None
        self._gradients.release()

    def begins(self, params: list[Tensor]) -> list[NDArray[np.int64]] | None:
        """Return where the gradients of each cohort begin, 0 where there is none.

        They are kept alive until `release`, and looked at once until then.

        Args:
            params: The parameters of the group, as they are now.

        Returns:
            None, if anything but gradients has changed since the batch was made, or a gradient is
            not as a kernel takes it.
        """
        if self._begins is not None:
            return self._begins
        if self._calm is not None:
            self._calm += 1
            if self._calm > CALM:
                return None
        found = self._gradients.look(params)
        self.missing = self._gradients.missing
        if found is None:
            return None
        if self._gradients.unseen is not self._unseen:
            self._unseen = self._gradients.unseen
            for binding in self._bindings:
                binding.hide(self._unseen)
        self._begins = [found] if len(self._bindings) == 1 else [found[at] for at in self._indices]
        return self._begins

    def plan(self, work: Work, group: Group) -> Prepared | None:
        """Prepare a step: trace and compile, but write nothing.

        Args:
            work: The rule, and what is done around it.
            group: The group.

        Returns:
            The step. Or None, where `begins` has none.
        """
        begins = self.begins(group["params"])
        if begins is None:
            return None
        return self._planned(work, group, begins, None, whole=not self.missing)

    def plan_with(
        self,
        work: Work,
        group: Group,
        grads: Sequence[Sequence[Tensor | None]],
    ) -> Prepared:
        """Prepare a step with gradients that are given for each cohort, None where there is none.

        Takes and raises what `plan` does.
        """
        alive: list[Tensor] = []
        begins, taken = [], []
        for binding, given in zip(self._bindings, grads, strict=True):
            indices = [index for index, grad in enumerate(given) if grad is not None]
            laid_out = binding.laid_out(indices, [grad for grad in given if grad is not None])
            begin = np.zeros(len(given), dtype=np.int64)
            begin[indices] = addresses(laid_out)
            begins.append(begin)
            alive += laid_out
            taken.append(dict(zip(indices, laid_out, strict=True)))
        return self._planned(work, group, begins, taken, whole=False)._replace(alive=alive)

    def _planned(
        self,
        work: Work,
        group: Group,
        begins: Sequence[NDArray[np.int64]],
        grads: Sequence[Mapping[int, Tensor]] | None,
        *,
        whole: bool,
    ) -> Prepared:
        found = Prepared([], [])
        for number, (binding, begin) in enumerate(zip(self._bindings, begins, strict=True)):
            indices = None if whole or begin.all() else np.flatnonzero(begin)
            if indices is not None and not len(indices):
                continue
            parts = binding.cohort.trace(work, group, indices)
            if any(part.trace.cut for part in parts):
                self._show(binding)
                mine = None if grads is None else grads[number]
                found.staged.append(StagedStep(binding, parts, mine, begin))
                continue
            before: dict[int, int] = {}  # how many launches of a program there were
            for part in parts:
                program = id(part.trace.program)
                earlier = before.get(program, 0)
                before[program] = earlier + 1
                launch = binding.launch(part.trace, earlier)
                found.kernels.append(FusedStep(binding, part, launch, begin))
        return found

    def _show(self, binding: Binding) -> None:
        """Look at the state of a cohort from here on, because functions are given it."""
        if binding not in self._shown:
            self._shown.add(binding)
            self._gradients.show(own_tensors(binding.cohort))


def sums(steps: Sequence[FusedStep], staged: Sequence[object] = ()) -> dict[str, Tensor | float]:
    """Run steps, and return the sums of the numbers that their rule leaves in the states.

    The states themselves stay as they are. Sums are tensors where to read them is to wait for the
    device.

    Raises:
        UnfusableError: The rule leaves more than one number for a parameter, or there are steps of
            rules that work on whole tensors.
    """
    if staged:
        raise UnfusableError("what is measured is made of whole tensors")
    for step in steps:
        step.prepare_sums()
    launches = [step.launch for step in steps]
    if launches:
        run = launches[0].kernel.device.run(launches)
        run.begin()
        run.take()
    total: dict[str, Tensor | float] = {}
    for step in steps:
        for key, value in step.sums().items():
            total[key] = total.get(key, 0.0) + value
    return total

"""The fused engine: what the program of a cohort does, in one kernel for all of its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import Tensor

from schuss.contract import Batch, Group, Rule
from schuss.engines.cohort import Cohort
from schuss.engines.fused.binding import Binding
from schuss.engines.fused.gather import Gradients
from schuss.engines.step import Step


class FusedBatch:
    """The cohorts of a batch, bound to memory, from step to step.

    Args:
        cohorts: The cohorts.
        batch: The batch that they are of.
        params: The parameters of the group, those without a gradient too.

    Raises:
        UnfusableError: There is no kernel for such tensors.
    """

    def __init__(self, cohorts: Sequence[Cohort], batch: Batch, params: Sequence[Tensor]) -> None:
        self.cohorts = cohorts
        self._bindings = [Binding(cohort) for cohort in cohorts]
        forms = dict(enumerate(batch.params))  # also of those in no cohort
        for binding in self._bindings:
            forms |= zip(binding.cohort.indices, binding.forms, strict=True)
        self._gradients = Gradients(params, batch, list(forms.values()))
        self._indices = [np.array(cohort.indices) for cohort in cohorts]

    def plan(
        self, rule: Rule, group: Group, grad_scale: float | None, batch: Batch | None
    ) -> list[Step] | None:
        """Prepare a step: trace and compile, but write nothing.

        Args:
            rule: Called as `rule(state, group, grad, param)`, with stand-ins for the tensors.
            group: The group.
            grad_scale: What the gradients were multiplied by, or None.
            batch: The parameters and their gradients. None for those of the step before.

        Returns:
            A step for each cohort. Or None, if there was no batch, and more has changed than
            gradients.
        """
        found = None if batch else self._gradients.addresses(group["params"])
        if batch is None and found is None:
            return None
        steps = []
        for binding, indices in zip(self._bindings, self._indices, strict=True):
            trace = binding.cohort.trace(rule, group, grad_scale)
            launch = binding.launch(trace)
            if batch:
                grads = binding.laid_out([batch.grads[index] for index in indices])
                take = partial(binding.run, trace, launch, grads)
            elif found is not None:
                take = partial(binding.run, trace, launch, found[indices])
            steps.append(Step(take, binding.cohort, trace.program, launch.kernel))
        return steps

    def sums(self, rule: Rule, group: Group, grad_scale: float | None) -> dict[str, float] | None:
        """Return the sums, over the parameters, of the numbers that a rule leaves in their states.

        The states themselves stay as they are. Takes and raises what `plan` does; returns None if
        more has changed than gradients since the step before.
        """
        found = self._gradients.addresses(group["params"])
        if found is None:
            return None
        sums: dict[str, float] = {}
        for binding, indices in zip(self._bindings, self._indices, strict=True):
            trace = binding.cohort.trace(rule, group, grad_scale)
            launch = binding.launch(trace)
            for key, total in binding.sums(trace, launch, found[indices]).items():
                sums[key] = sums.get(key, 0.0) + total
        return sums

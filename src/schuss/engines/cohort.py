"""Cohorts: parameters for which the rule's Python does the same."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice, product

import numpy as np
import torch
from torch import Tensor

from schuss.contract import Batch, Group, Rule, State
from schuss.engines.parts import Fits, Needs, all_fits, parts
from schuss.engines.tracing.axes import Axes, Layout, layout
from schuss.engines.tracing.errors import UnfusableError
from schuss.engines.tracing.primitives import Form
from schuss.engines.tracing.program import COUNT, GRAD, PARAM, STATE, Place
from schuss.engines.tracing.tape import Dimensions
from schuss.engines.tracing.tracer import Trace, trace
from schuss.storage import master
from schuss.storage.precision import computable

TRIALS = 64
"""How often a rule is traced to find out what axes its state has, beside square matrices, say."""


class Cohort:
    """Parameters of one group that share a dtype, a device, and all of their state but the tensors.

    Attributes:
        indices: Their positions in the batch.
        params: The parameters.
        states: Their states, in the same order. Of `scalars` they may hold old values.
        inputs: The places that a program for them reads. Of state along some dimensions the form is
            not told here, but by the program of a trace.
        scalars: What their states have in common: numbers, and tensors of one number.
        like: A tensor with the dtype and the device that the rule sees.
        dimensions: What the rule is to know of their dimensions.
        aliases: Keys of the state under which the parameters themselves are kept.
        has_master: They have master weights.
    """

    def __init__(
        self, batch: Batch, indices: list[int], states: list[State], needs: Needs, fits: Fits
    ) -> None:
        self.indices = indices
        self.params = [batch.params[index] for index in indices]
        self.states = states
        first = self.params[0]
        self.has_master = master.wants_master(batch.group, first)
        self.like = computable(torch.empty(0, dtype=first.dtype, device=first.device))
        self._parts = needs.parts
        sizes, axes, divided = layout(_shape(first), needs.parts)
        self.dimensions = Dimensions(
            axes if needs.dims or needs.along or needs.shapes else None,
            sizes if needs.shapes else None,
            along=needs.along,
            parts=divided,
        )
        element, whole, self.scalars, self.aliases, along = parts(first, states[0], needs, fits)
        places = [Place(GRAD), Place(PARAM), COUNT]
        places += [Place(STATE + key) for key in (*element, *along)]
        self.inputs = (*places, *(Place(STATE + key, Form.TENSOR) for key in whole))
        # A single number may have dimensions too, all of size 1.
        single = {k: ((),) * states[0][k].dim() for k in whole if needs.along}
        self._axes: list[dict[str, Axes]] = [
            {**single, **dict(zip(along, axes, strict=True))}
            for axes in islice(product(*along.values()), TRIALS)
        ]
        self._stale = False

    @property
    def layouts(self) -> list[Layout]:
        """What the dimensions of the parameters are made of, as the rule sees them."""
        return [layout(_shape(param), self._parts) for param in self.params]

    def tensors(self, place: Place) -> list[Tensor]:
        """Return the tensors at a place of the parameters or of the states."""
        if place.name == PARAM:
            return self.params
        return [state[place.name.removeprefix(STATE)] for state in self.states]

    def trace(self, rule: Rule, group: Group, grad_scale: float | None) -> Trace:
        """Trace a rule, with the gradient prepared as the loop engine does.

        Args:
            rule: Called as `rule(state, group, grad, param)`.
            group: The group.
            grad_scale: What the gradients were multiplied by, or None.

        Raises:
            UntraceableError: The rule did what no program can express.
            ShapeRead: The rule needs to know the shape.
            DimensionsRead: The rule needs to know the number of dimensions.
            PerTensorState: The rule writes a value of the program into a tensor of one number.
        """
        if grad_scale is not None or group["maximize"] or self.has_master:
            rule = _prepared(rule, grad_scale, self.params[0].dtype if self.has_master else None)
        while len(self._axes) > 1:
            with suppress(UnfusableError):
                return self._traced(rule, group, self._axes[0])
            del self._axes[0]
        return self._traced(rule, group, self._axes[0])

    def _traced(self, rule: Rule, group: Group, axes: dict[str, Axes]) -> Trace:
        scalars = {k: v.clone() if isinstance(v, Tensor) else v for k, v in self.scalars.items()}
        known = (self.like, self.dimensions, axes)
        return trace(rule, self.inputs, self.aliases, scalars, group, *known)

    def take_scalars(self, scalars: State) -> None:
        """Take what a step has made of `scalars`; the states hold old values from here on."""
        self.scalars = scalars
        self._stale = True

    def write_scalars(self) -> None:
        """Write `scalars` into the states, if these hold old values."""
        if not self._stale:
            return
        self._stale = False
        for state in self.states:
            for key, value in self.scalars.items():
                if not isinstance(value, Tensor):
                    state[key] = value
                elif key in state:
                    state[key].copy_(value)
                else:
                    state[key] = value.clone()


def _prepared(rule: Rule, grad_scale: float | None, half: torch.dtype | None) -> Rule:
    """Return a rule with what the loop engine does around it.

    Args:
        rule: The rule.
        grad_scale: What the gradient was multiplied by.
        half: The precision of the parameter, if the rule is to see its master weight.
    """

    def prepared(state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        if grad_scale is not None:
            grad = grad / grad_scale
        if group["maximize"]:
            grad = -grad
        if half is None:
            rule(state, group, grad, param)
            return
        weight = state[master.KEY]
        rounded = weight.tape.record(f"rounded_to_{str(half).removeprefix('torch.')}", weight)
        weight.copy_(torch.where(rounded == param, weight, param))
        rule(state, group, grad, weight)
        param.copy_(weight)

    return prepared


def divided(batch: Batch, states: Sequence[State], needs: Needs) -> list[Cohort]:
    """Divide a batch into cohorts; parameters without numbers are in none, and take no step.

    Args:
        batch: Parameters of one group.
        states: Their states.
        needs: What the rule is known to need.

    Raises:
        UnfusableError: A parameter or its state is unlike anything that a program is for.
        DimensionsRead: There may be statistics of rows or columns in a state.
        PartsRead: There may be numbers for equal parts in a state.
    """
    fits = all_fits(batch.params, states, needs) if needs.along else [{}] * len(states)
    found: dict[object, list[int]] = {}
    for index, (param, state) in enumerate(zip(batch.params, states, strict=True)):
        if param.numel():
            found.setdefault(_signature(param, state, needs, fits[index]), []).append(index)
    cohorts = [
        Cohort(batch, at, [states[i] for i in at], needs, fits[at[0]]) for at in found.values()
    ]
    for cohort in cohorts:
        _check_apart(cohort)
    return cohorts


def _signature(param: Tensor, state: State, needs: Needs, fits: Fits) -> object:
    """Return what parameters of one cohort have in common."""
    if type(param) not in (Tensor, torch.nn.Parameter):
        raise UnfusableError(f"a {type(param).__name__} is not a plain tensor")
    found = parts(param, state, needs, fits)
    tensors = tuple((key, state[key].dtype) for key in (*found.element, *found.along, *found.whole))
    numbers = tuple(
        (key, value.dtype, value.item()) if isinstance(value, Tensor) else (key, value)
        for key, value in found.scalars.items()
    )
    shape: object = None
    if needs.shapes:
        shape = _shape(param)
    elif needs.dims or needs.along:
        _, *of_all_sizes = layout(_shape(param), needs.parts)
        shape = tuple(of_all_sizes)
    along = tuple((key, state[key].dim(), tuple(axes)) for key, axes in found.along.items())
    return param.dtype, param.device, tensors, tuple(found.aliases), numbers, shape, along


def _shape(param: Tensor) -> torch.Size:
    """Return the shape of a parameter as rules see it."""
    return torch.Size((*param.shape, 2)) if param.is_complex() else param.shape


def _check_apart(cohort: Cohort) -> None:
    """Refuse tensors that share memory, whose old values an engine would use here and new there."""
    places = [place for place in cohort.inputs if place.name not in (GRAD, COUNT.name)]
    tensors = [tensor for place in places for tensor in cohort.tensors(place)]
    if cohort.like.device.type == "meta":
        return
    starts = np.array([tensor.data_ptr() for tensor in tensors])
    sizes = np.array([tensor.numel() * tensor.element_size() for tensor in tensors])
    order = np.argsort(starts[sizes > 0], kind="stable")
    starts, sizes = starts[sizes > 0][order], sizes[sizes > 0][order]
    if (starts[:-1] + sizes[:-1] > starts[1:]).any():
        raise UnfusableError("tensors of parameters or of their state share memory")

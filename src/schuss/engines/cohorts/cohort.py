"""Cohorts: parameters for which the rule's Python does the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from schuss.contract import Group, State, Work
from schuss.engines.capturing import refuse_draw
from schuss.engines.cohorts.contents import Fits, Member, Needs, contents, plain_number
from schuss.engines.cohorts.on_device import NumbersOnDevice, cloned, is_of_each
from schuss.engines.cohorts.scalars import Columns, Indices, Scalars, write
from schuss.engines.cohorts.traces import Part, traced_parts
from schuss.engines.cohorts.whole import whole_of
from schuss.engines.errors import UnfusableError, WholeRead
from schuss.engines.program.axes import Axes, Layout, layout
from schuss.engines.program.operations import Form
from schuss.engines.program.program import COUNT, GRAD, PARAM, STATE, Place
from schuss.engines.surroundings import surrounded
from schuss.engines.tracing.calculation import drawn
from schuss.engines.tracing.replay import Replays
from schuss.engines.tracing.several import ApartError
from schuss.engines.tracing.tape import Dimensions
from schuss.engines.tracing.tracer import Trace, trace
from schuss.storage import master
from schuss.storage.codecs.kinds import codecs_of
from schuss.storage.precision import computable

TRIALS = 64
"""How often a rule is traced to find out what axes its state has, beside square matrices, say."""


class Cohort:
    """Parameters of one group whose states hold the same kinds of things, in the same precision.

    Attributes:
        params: The parameters.
        states: Their states, in the same order. Of `scalars` they may hold old values.
        inputs: The places that a program for them reads. Of state along some dimensions the form is
            not told here, but by the program of a trace.
        scalars: The numbers of their states, and tensors of one number.
        like: A tensor with the dtype and the device that the rule sees.
        grad_dtype: The dtype of their gradients.
        dimensions: The dimensions, as far as the rule is to know them.
        aliases: Keys of the state under which the parameters themselves are kept.
        whole: Keys of the state with tensors of another shape, for functions of whole tensors.
        weights: How their weights are kept, if not by the parameters alone.
        codecs: The codec of each key of the state that is encoded.
        unseen: The tensors, by their `id`, that steps write to without raising their versions,
            because nobody can reach them to compare these.
        replays: The traces that can be repeated.
        is_broken: A step has made their states unlike each other, or unlike `inputs`.
    """

    def __init__(self, group: Group, members: Sequence[Member], needs: Needs, fits: Fits) -> None:
        self.params = [member.param for member in members]
        self.states = [member.state for member in members]
        self.grad_dtype = members[0].grad_dtype
        first = self.params[0]
        self.weights = master.weights_of(group, first)
        self.like = computable(torch.empty(0, dtype=first.dtype, device=first.device))
        self._heads = needs.heads
        found = contents(first, self.states[0], needs, fits)
        sizes, axes, divided = layout(seen_shape(first), needs.heads)
        self.dimensions = Dimensions(
            axes if needs.dims or needs.along or needs.shapes else None,
            sizes if needs.shapes else None,
            along=needs.along,
            heads=divided,
            single=is_single(first),
        )
        self.aliases, along = found.aliases, found.along
        self.scalars = Scalars(
            [{k: plain_number(state[k]) for k in found.scalars} for state in self.states]
        )
        places = [Place(GRAD), Place(PARAM), COUNT]
        places += [Place(STATE + key) for key in (*found.element, *along)]
        self.inputs = (*places, *(Place(STATE + key, Form.TENSOR) for key in found.per_tensor))
        self.whole = tuple(found.whole)
        if needs.whole:
            self.dimensions.whole = whole_of(members[0], self.inputs, self.whole, self.like.dtype)
        # A single number may have dimensions too, all of size 1.
        single = {k: ((),) * self.states[0][k].dim() for k in found.per_tensor if needs.along}
        self._axes: list[dict[str, Axes]] = [
            {**single, **dict(zip(along, axes, strict=True))}
            for axes in islice(product(*along.values()), TRIALS)
        ]
        self.codecs = codecs_of(self.states[0], found.element)
        self.unseen: dict[int, Tensor] = {}
        self.is_broken = False
        self._stale = False
        self._together = True
        self._on_device = NumbersOnDevice(first.device) if group["capturable"] else None
        self.replays = Replays()

    @property
    def is_capturable(self) -> bool:
        """Whether a graph may capture their steps."""
        return self._on_device is not None

    @property
    def layouts(self) -> list[Layout]:
        """The axes that the dimensions of the parameters are made of, as the rule sees them."""
        return [layout(seen_shape(param), self._heads) for param in self.params]

    def tensors(self, place: Place) -> list[Tensor]:
        """Return the tensors at a place of the parameters or of the states."""
        if place.name == PARAM:
            return self.params
        return [state[place.name.removeprefix(STATE)] for state in self.states]

    def trace(self, work: Work, group: Group, indices: Indices | None = None) -> list[Part]:
        """Trace a rule, with the gradient prepared as the loop engine does.

        Args:
            work: The rule, and what is done around it.
            group: The group.
            indices: The parameters whose turn it is; None for all.

        Returns:
            The parameters, by the program that the rule has made for them: one part, unless it
            branches on a number in which they differ.

        Raises:
            UntraceableError: The rule did what no program can express.
            ShapeRead: The rule needs to know the shape.
            DimensionsRead: The rule needs to know the number of dimensions.
            PerTensorState: The rule writes a value of the program into a tensor of one number.
        """
        traced = partial(self._traced, work, group)
        if self._together:
            try:
                return traced_parts(traced, self.scalars, indices, together=True)
            except ApartError:
                self._together = False
        return traced_parts(traced, self.scalars, indices, together=False)

    def _traced(self, work: Work, group: Group, scalars: State) -> Trace:
        """Return what a rule does with one set of numbers, or with several at once."""
        tracing = partial(self._traced_anew, work)
        if work.pure is None:
            return tracing(scalars, group, work.grad_scale)
        return self.replays.trace(work.pure, tracing, scalars, group, work.grad_scale)

    def _traced_anew(
        self,
        work: Work,
        scalars: State,
        group: Group,
        scale: float | Tensor | None,
        drawn: Callable[[], Any] = drawn,
    ) -> Trace:
        drawn = refuse_draw if self.is_capturable else drawn
        while len(self._axes) > 1:
            with suppress(UnfusableError):
                return self._traced_along(self._axes[0], work, scalars, group, scale, drawn)
            del self._axes[0]
        try:
            return self._traced_along(self._axes[0], work, scalars, group, scale, drawn)
        except UnfusableError:
            known = self.dimensions
            if known.whole is None and (known.single or self._axes[0]):
                raise WholeRead from None  # nothing is guessed of shapes then
            raise

    def _traced_along(
        self,
        axes: dict[str, Axes],
        work: Work,
        scalars: State,
        group: Group,
        scale: float | Tensor | None,
        drawn: Callable[[], Any],
    ) -> Trace:
        def traced(numbers: State, group: Group, scale: float | Tensor | None) -> Trace:
            rule = work.rule
            if scale is not None or group["maximize"] or self.weights is not None:
                rule = surrounded(rule, scale, self.weights)
            known = (self.like, self.dimensions, axes)
            return trace(rule, self.inputs, self.aliases, numbers, group, *known, drawn)

        if self._on_device is None:
            return traced(cloned(scalars), group, scale)
        return self._on_device.traced(traced, scalars, group, scale, measures=work.measures)

    def take(self, taken: Sequence[Part], skip: Tensor | None = None) -> bool:
        """Take the numbers that a step has left; the states may hold old ones from here on.

        To take the same numbers twice is to take them once. Tells whether this is a cohort still.

        Args:
            taken: The parts that have taken the step.
            skip: A number on the device that is not 0 if it has left the step out.
        """
        if self._on_device is not None:
            return self._take_on_device(self._on_device, taken, skip)
        for part in taken:
            if part.indices is None and part.which is None:
                self.take_for_all(part.after)
                continue
            indices = self.indices_of(part)
            which = np.zeros(len(indices), dtype=np.int64) if part.which is None else part.which
            are_some = len(indices) < len(self.params)
            if are_some and not self.scalars.accepts(part.after, part.columns):
                return self._scatter(taken)
            self.scalars.take(indices, part.after, part.columns, which)
            self._stale = True
        return True

    def take_for_all(self, after: State) -> None:
        """Take the numbers that a step has left for all parameters, where these are on the host."""
        self.scalars.same, self.scalars.own, self._stale = after, {}, True

    def _take_on_device(
        self, numbers: NumbersOnDevice, taken: Sequence[Part], skip: Tensor | None
    ) -> bool:
        remains = True
        for part in taken:
            indices = self.indices_of(part)
            states = [self.states[index] for index in indices.tolist()]
            if not numbers.take(states, self.scalars.same, part.after, skip):
                return self._scatter([part._replace(after=numbers.others(part.after))])
            remains = remains and (len(indices) == len(self.params) or is_of_each(part.after))
        return remains

    def may_put_back(self, part: Part) -> bool:
        """Tell whether `put_back` can undo what `take` does with a part."""
        indices = self.indices_of(part)
        if self._on_device is not None:
            states = [self.states[index] for index in indices.tolist()]
            return self._on_device.decides(states, self.scalars.same, part.after)
        return len(indices) == len(self.params) or self.scalars.accepts(part.after, part.columns)

    def put_back(self, same: State, own: Columns) -> None:
        """Put the numbers of the states back to what they were before a step."""
        self.scalars.same, self.scalars.own = same, own
        self._stale = True

    def change(
        self, indices: Indices, made: Mapping[str, Sequence[Tensor]], dropped: Iterable[str]
    ) -> None:
        """Put what a step has made into the states, and take out what it has dropped.

        To do so twice is to do it once.

        Args:
            indices: The parameters whose turn it was.
            made: New tensors by key, in the order of these.
            dropped: Keys.
        """
        states = [self.states[index] for index in indices.tolist()]
        for key, tensors in made.items():
            for state, tensor in zip(states, tensors, strict=True):
                state[key] = tensor
        for key in dropped:
            for state in states:
                state.pop(key, None)

    def indices_of(self, part: Part) -> Indices:
        """Return the parameters of a part, by their position."""
        return np.arange(len(self.params)) if part.indices is None else part.indices

    def _scatter(self, taken: Sequence[Part]) -> bool:
        """Write the numbers that a step has left into the states, which have become unlike."""
        self.write_scalars()
        for part in taken:
            lists = {key: column.tolist() for key, column in part.columns.items()}
            for position, index in enumerate(self.indices_of(part).tolist()):
                number = 0 if part.which is None else int(part.which[position])
                write(self.states[index], part.after | {k: v[number] for k, v in lists.items()})
        return False

    def write_scalars(self) -> None:
        """Write `scalars` into the states, if these hold old values, before somebody looks.

        The versions of what has been written unseen are raised, by one for all steps.
        """
        if self._stale:
            if self.unseen:
                torch.autograd.graph.increment_version(self.unseen.values())
            for state, scalars in zip(self.states, self.scalars.of_each(), strict=True):
                write(state, scalars)
            self._stale = False


def is_single(param: Tensor) -> bool:
    """Tell whether a rule sees one number of a parameter: its norm is that number then."""
    return param.numel() == 1 and not param.is_complex()


def seen_shape(param: Tensor) -> torch.Size:
    """Return the shape of a parameter as rules see it."""
    return torch.Size((*param.shape, 2)) if param.is_complex() else param.shape

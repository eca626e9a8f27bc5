"""Traces of one rule for parameters whose states hold different numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from torch import Tensor

from schuss.contract import State
from schuss.engines.cohorts.scalars import Columns, Indices, Scalars, is_own
from schuss.engines.errors import Request
from schuss.engines.tracing.several import ApartError, Differ, Several
from schuss.engines.tracing.tracer import Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALVES = 16
"""How often comparisons may divide the sets of numbers before each is traced apart."""

Traced: TypeAlias = Callable[[State], Trace]
"""Traces a rule, given the numbers of a state."""


class Part(NamedTuple):
    """Parameters of a cohort for which a rule has made the same program.

    Attributes:
        trace: The operations of the rule.
        indices: The parameters; None for all of the cohort.
        arguments: The numbers of the program; several sets of them are a table.
        which: The set of each parameter; None if there is only one.
        after: The numbers that the rule leaves in all of their states.
        columns: Those in which they differ, for each set.
        on_device: Arguments that are tensors: of which set, which argument, and the tensor.
    """

    trace: Trace
    indices: Indices | None
    arguments: Sequence[float] | NDArray[np.float64]
    which: Indices | None
    after: State
    columns: Columns
    on_device: Sequence[tuple[int, int, Tensor]] = ()

    def numbers(self) -> Sequence[float] | NDArray[np.float64]:
        """Return the arguments, with those that are on a device, which this waits for."""
        if not self.on_device:
            return self.arguments
        if self.which is None:
            found = list(self.arguments)
            for _, number, tensor in self.on_device:
                found[number] = float(tensor)
            return found
        table = np.array(self.arguments)
        for at, number, tensor in self.on_device:
            table[at, number] = float(tensor)
        return table

    def first(self, count: int, of: Indices) -> Part:
        """Return the part with its first parameters alone, given all of them."""
        if count == len(of):
            return self
        which = None if self.which is None else self.which[:count]
        return self._replace(indices=of[:count], which=which)


class _Found(NamedTuple):
    """A trace, and the sets of numbers that it is of."""

    sets: Indices
    trace: Trace


def traced_parts(
    traced: Traced, scalars: Scalars, indices: Indices | None, *, together: bool
) -> list[Part]:
    """Trace a rule for all sets of numbers that some parameters have.

    Args:
        traced: Traces it for one set, or for several sets at once.
        scalars: The numbers of all parameters of the cohort.
        indices: The parameters whose turn it is; None for all.
        together: Whether to try several at once.

    Raises:
        ApartError: Several cannot be traced at once.
    """
    if not scalars.own:
        trace = traced(scalars.same)
        on_device: Sequence[tuple[int, int, Tensor]] = ()
        if trace.on_device:
            on_device = [(0, number, tensor) for number, tensor in trace.on_device.items()]
        return [Part(trace, indices, trace.arguments, None, trace.scalars, {}, on_device)]
    indices = np.arange(scalars.count) if indices is None else indices
    columns, which = scalars.distinct(indices)
    count = len(next(iter(columns.values())))
    try:
        find = _together if together else _apart
        found = find(traced, scalars.same, columns, np.arange(count))
    except Request:
        raise
    except Exception as error:
        if together:
            raise ApartError from error
        raise
    return [_part(alike, indices, which, count) for alike in _grouped(found)]


def _apart(traced: Traced, same: State, columns: Columns, sets: Indices) -> list[_Found]:
    lists = {key: column.tolist() for key, column in columns.items()}
    return [
        _Found(sets[n : n + 1], traced({**same, **{k: values[n] for k, values in lists.items()}}))
        for n in range(len(sets))
    ]


def _together(traced: Traced, same: State, columns: Columns, sets: Indices) -> list[_Found]:
    found: list[_Found] = []
    pending = [sets]
    while pending:
        now = pending.pop()
        if len(found) + len(pending) > HALVES:
            raise ApartError
        numbers = {
            key: Several(column[now].astype(np.float64), whole=column.dtype == np.int64)
            for key, column in columns.items()
        }
        try:
            found.append(_Found(now, traced({**same, **numbers})))
        except Differ as difference:
            pending += [now[difference.mask], now[~difference.mask]]
    return found


def _grouped(found: Iterable[_Found]) -> list[list[_Found]]:
    """Group traces that one launch can run."""
    groups: dict[object, list[_Found]] = {}
    for each in found:
        trace = each.trace
        rest = {k: id(v) for k, v in trace.scalars.items() if not _is_number(v)}
        kinds = [(k, isinstance(v, int)) for k, v in trace.scalars.items() if _is_number(v)]
        key = (
            id(trace.program),
            id(trace.cut),
            trace.matrix_axes,
            tuple(trace.axes.items()),
            trace.dropped,
            tuple(rest.items()),
            tuple(kinds),
        )
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _part(alike: Sequence[_Found], indices: Indices, which: Indices, count: int) -> Part:
    """Return the part of parameters whose traces are alike."""
    if len(alike) == 1 and len(alike[0].sets) == count:  # in their order
        sets = alike[0].sets
    else:
        position = np.full(count, -1, dtype=np.int64)
        sets = np.concatenate([each.sets for each in alike])
        position[sets] = np.arange(len(sets))
        mine = position[which] >= 0
        indices, which = indices[mine], position[which[mine]]
    trace = alike[0].trace
    arguments = np.empty((len(sets), len(trace.arguments)))
    on_device = []
    at = 0
    for each in alike:
        for number, argument in enumerate(each.trace.arguments):
            arguments[at : at + len(each.sets), number] = argument
        for number, tensor in each.trace.on_device.items():
            on_device += [(at + n, number, tensor) for n in range(len(each.sets))]
        at += len(each.sets)
    after = {key: value for key, value in trace.scalars.items() if not _is_number(value)}
    columns = {
        key: _column([each.trace.scalars[key] for each in alike], alike)
        for key, value in trace.scalars.items()
        if key not in after
    }
    return Part(trace, indices, arguments, which, after, columns, on_device)


def _column(values: Sequence[Any], alike: Sequence[_Found]) -> NDArray[Any]:
    """Return a number of several traces, for each set that these are of."""
    dtype = np.int64 if isinstance(values[0], int) else np.float64
    if len(values) == 1 and type(values[0]) is Several:
        return values[0].values.astype(dtype)
    pairs = zip(values, alike, strict=True)
    return np.concatenate(
        [
            np.broadcast_to(np.asarray(x.values if type(x) is Several else x), len(each.sets))
            for x, each in pairs
        ],
        dtype=dtype,
        casting="unsafe",
    )


def _is_number(value: object) -> bool:
    return type(value) is Several or is_own(value)

"""Dividing the parameters of a group into cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from schuss.contract import Group
from schuss.engines.cohorts.cohort import Cohort, is_single, seen_shape
from schuss.engines.cohorts.contents import Fits, Member, Needs, all_fits, contents, plain_number
from schuss.engines.cohorts.scalars import is_own
from schuss.engines.cohorts.tensors import own_tensors
from schuss.engines.errors import UnfusableError
from schuss.engines.memory import has_memory, ranges
from schuss.engines.program.axes import layout
from schuss.storage.codecs.kinds import kind_of


def divided(group: Group, members: Sequence[Member], needs: Needs) -> list[Cohort]:
    """Divide parameters of one group into cohorts; those without numbers are in none.

    Args:
        group: The group.
        members: The parameters.
        needs: The needs of the rule that are known so far.

    Raises:
        UnfusableError: A parameter or its state is unlike anything that a program is for.
        DimensionsRead: There may be statistics of rows or columns in a state.
        HeadsRead: There may be numbers for equal parts in a state.
    """
    fits: list[Fits] = [{}] * len(members)
    if needs.along and not needs.whole:
        fits = all_fits([m.param for m in members], [m.state for m in members], needs)
    found: dict[object, list[int]] = {}
    for index, member in enumerate(members):
        if member.param.numel():
            found.setdefault(_signature(member, needs, fits[index]), []).append(index)
    cohorts = [Cohort(group, [members[i] for i in at], needs, fits[at[0]]) for at in found.values()]
    _check_apart(cohorts)
    return cohorts


def _signature(member: Member, needs: Needs, fits: Fits) -> object:
    """Return what parameters of one cohort have in common."""
    param, state, grad_dtype = member
    if type(param) not in (Tensor, torch.nn.Parameter):
        raise UnfusableError(f"a {type(param).__name__} is not a plain tensor")
    if param.device.type != "meta" and not has_memory(param):
        raise UnfusableError("a lazily conjugated or negated parameter has no memory of its own")
    found = contents(param, state, needs, fits)
    tensors = tuple(
        (kind, key, kind_of(state[key]) if kind == 0 else state[key].dtype)
        for kind, keys in enumerate((found.element, found.along, found.per_tensor))
        for key in keys
    )
    numbers = tuple((key, _common(plain_number(v))) for key, v in found.scalars.items())
    shape: object = None
    if needs.shapes:
        shape = seen_shape(param)
    elif needs.dims or needs.along:
        _, *of_all_sizes = layout(seen_shape(param), needs.heads)
        shape = tuple(of_all_sizes)
    along = tuple((key, state[key].dim(), tuple(axes)) for key, axes in found.along.items())
    alike = (param.dtype, param.device, grad_dtype, is_single(param))
    whole = tuple((key, state[key].dtype, state[key].shape) for key in found.whole)
    return alike, tensors, tuple(found.aliases), numbers, shape, along, whole


def _common(value: Any) -> object:
    """Return what parameters of one cohort have in common of a number of their states."""
    if isinstance(value, Tensor):
        return value.dtype, value.shape, value.item()
    return type(value) if is_own(value) else (type(value), value)


def _check_apart(cohorts: Sequence[Cohort]) -> None:
    """Refuse tensors that share memory, whose old values an engine would use here and new there."""
    tensors = [tensor for cohort in cohorts for tensor in own_tensors(cohort)]
    starts, ends = ranges(tensor for tensor in tensors if tensor.device.type != "meta")
    if (ends[:-1] > starts[1:]).any():
        raise UnfusableError("tensors of parameters or of their state share memory")

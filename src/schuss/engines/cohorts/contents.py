"""The contents of a parameter's state, as far as programs are concerned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from schuss.contract import State
from schuss.engines.errors import (
    DimensionsRead,
    HeadsRead,
    PerTensorState,
    Request,
    UnfusableError,
    WholeRead,
)
from schuss.engines.memory import has_memory
from schuss.engines.program.axes import Axes, Layout, fitting, layout, own_axes
from schuss.storage.codecs import Encoded
from schuss.storage.kinds import CODES
from schuss.storage.master import REMAINDER
from schuss.storage.precision import is_seen_alike, kept_dtypes, outgrows, state_dtypes

Fits: TypeAlias = Mapping[str, Sequence[Axes]]
"""For keys of the state with other axes than the parameter, which ones these can be."""


class Member(NamedTuple):
    """A parameter, its state, and the dtype of its gradient."""

    param: Tensor
    state: State
    grad_dtype: torch.dtype


class Needs(NamedTuple):
    """The needs of a rule that were found when it was traced.

    Attributes:
        dims: It reads how many dimensions tensors have, so that those of a cohort agree in that.
        along: It makes statistics along dimensions, or keeps some.
        shapes: It reads shapes, so that a cohort has only one.
        heads: Into how many equal parts it divides the first dimension, where it can; 0 if it does
            not.
        per_tensor: Keys of state of one number that take values of the program.
        whole: It calls functions of whole tensors, or keeps state of another shape.
    """

    dims: bool = False
    along: bool = False
    shapes: bool = False
    heads: int = 0
    per_tensor: frozenset[str] = frozenset()
    whole: bool = False

    def after(self, request: Request) -> Needs:
        """Return what it needs too, now that it was traced again."""
        if isinstance(request, DimensionsRead):
            return self._replace(dims=True, along=request.along or self.along)
        if isinstance(request, HeadsRead):
            return self._replace(dims=True, along=True, heads=request.heads)
        if isinstance(request, PerTensorState):
            return self._replace(per_tensor=self.per_tensor | {request.key})
        if isinstance(request, WholeRead):
            return self._replace(shapes=True, whole=True, along=False)
        return self._replace(shapes=True)


class Contents(NamedTuple):
    """The keys of a state by what is under them.

    Attributes:
        element: Tensors like the parameter.
        per_tensor: Tensors of one number, which take values of the program.
        scalars: All other numbers, with their values.
        aliases: The parameter itself.
        along: Tensors along some dimensions of the parameter, and the axes that these can be.
        whole: Tensors of another shape, for functions of whole tensors.
    """

    element: list[str]
    per_tensor: list[str]
    scalars: State
    aliases: list[str]
    along: Fits
    whole: list[str]


def contents(param: Tensor, state: State, needs: Needs, fits: Fits) -> Contents:
    """Divide the keys of a state.

    Args:
        param: The parameter that it is of.
        state: The state.
        needs: The needs of the rule that are known so far.
        fits: The possible axes of tensors along some dimensions, as far as they are known.

    Raises:
        UnfusableError: There is something in it that is unlike anything a program is for.
        DimensionsRead: There may be statistics of rows or columns in it.
        HeadsRead: There may be a number for each of some equal parts in it.
        WholeRead: There is a tensor of another shape in it.
    """
    found = Contents([], [], {}, [], {key: fits[key] for key in state if key in fits}, [])
    for key, value in state.items():
        if isinstance(value, Tensor):
            _check_plain(key, value, param, along=key in fits)
        if key in fits:
            continue
        if isinstance(value, Tensor):
            is_one = key != REMAINDER and _is_number_beside(value, param)
            if value.shape == param.shape and not is_one:
                (found.aliases if _is_same(value, param) else found.element).append(key)
            elif needs.whole and _is_whole(key, value, needs):
                _check_whole(key, value, param)
                found.whole.append(key)
            elif value.numel() != 1 or value.is_complex():
                raise _request(key, value, param, needs)
            elif key in needs.per_tensor:
                found.per_tensor.append(key)
            else:
                found.scalars[key] = value
        elif isinstance(value, (int, float, str, np.integer, np.floating, type(None))):
            found.scalars[key] = value
        else:
            raise UnfusableError(f"state {key!r} is a {type(value).__name__}")
    return found


def is_like_state(tensor: Tensor, param: Tensor) -> bool:
    """Tell whether a tensor may be in the state of a parameter, by its shape.

    It is like the parameter, one number, or has numbers along some of the parameter's dimensions or
    for equal parts of the first.
    """
    if tensor.shape == param.shape or tensor.numel() == 1:
        return True
    if tensor.dim() > param.dim():
        return False
    return bool(fitting(tensor.shape, layout(param.shape))) or _is_of_heads(tensor, param)


def _check_plain(key: str, value: Tensor, param: Tensor, *, along: bool) -> None:
    """Refuse a tensor that no program is for, whatever its shape."""
    if isinstance(value, Encoded):
        return
    if value.device.type != "meta" and not has_memory(value):
        raise UnfusableError(f"state {key!r} is no plain tensor with memory of its own")
    if value.device != param.device and value.dim():
        raise UnfusableError(
            f"state {key!r} is on {value.device}, and its parameter on {param.device}"
        )
    # A tensor without dimensions may be one number, in whatever precision, beside a parameter of
    # one. Only where it outgrows the parameter, it may be a mean that was left in double.
    is_mean = value.dim() or outgrows(value.dtype, param.dtype)
    like = along or (value.shape == param.shape and is_mean)
    if key == REMAINDER and value.dtype in CODES:
        return
    if like and value.dtype not in kept_dtypes(param.dtype):
        raise _of_another_precision(key, value, param)


def _check_whole(key: str, value: Tensor, param: Tensor) -> None:
    """Refuse a tensor that functions of whole tensors would see otherwise than the loop."""
    if not value.is_floating_point():
        raise _unfit(key, value, param)
    if not is_seen_alike(value, param):
        raise _of_another_precision(key, value, param)


def _request(key: str, value: Tensor, param: Tensor, needs: Needs) -> Exception:
    """Return what is needed for a tensor that has another shape than its parameter."""
    if not needs.along and fitting(value.shape, layout(param.shape)):
        return DimensionsRead(along=True)
    if not needs.heads and _is_of_heads(value, param):
        return HeadsRead(len(value))
    if value.is_floating_point() and (not needs.heads or _is_matrix(value)):
        return WholeRead()
    return _unfit(key, value, param)


def _is_whole(key: str, value: Tensor, needs: Needs) -> bool:
    """Tell whether a tensor is for functions of whole tensors, where a rule calls some."""
    is_number = value.numel() <= 1 and value.dim() <= 1 and not value.is_complex()
    return not is_number or key in needs.per_tensor


def _unfit(key: str, value: Tensor, param: Tensor) -> UnfusableError:
    shapes = f"{tuple(value.shape)}, unlike its parameter's {tuple(param.shape)}"
    return UnfusableError(f"state {key!r} is {value.dtype} of shape {shapes}")


def _of_another_precision(key: str, value: Tensor, param: Tensor) -> UnfusableError:
    return UnfusableError(f"state {key!r} is {value.dtype}, for a parameter of {param.dtype}")


def plain_number(value: Any) -> Any:
    """Return a number of NumPy as Python's, and everything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def all_fits(params: Sequence[Tensor], states: Sequence[State], needs: Needs) -> list[Fits]:
    """Return, for each state, what its tensors along some dimensions can be.

    A vector beside a square matrix may be of its rows or of its columns. Parameters whose states
    look alike tell together; what remains, the rule will tell when it is traced.

    Args:
        params: The parameters.
        states: Their states.
        needs: The needs of the rule that are known so far.
    """
    layouts = [layout(param.shape, needs.heads) for param in params]
    kinds: dict[object, list[int]] = {}
    for index, (param, state) in enumerate(zip(params, states, strict=True)):
        dims = {key: value.dim() for key, value in state.items() if isinstance(value, Tensor)}
        _, *of_all_sizes = layouts[index]
        kind = (*of_all_sizes, param.is_complex(), *dims.items())
        kinds.setdefault(kind, []).append(index)
    found: list[Fits] = [{}] * len(params)
    for members in kinds.values():
        real = not params[members[0]].is_complex()
        fits = _fits_of([layouts[i] for i in members], [states[i] for i in members]) if real else {}
        for index in members:
            pairs = states[index].items()
            factors = {k for k, x in pairs if k in fits and _is_factor(x, params[index])}
            found[index] = {key: axes for key, axes in fits.items() if key not in factors}
    return found


def _fits_of(layouts: Sequence[Layout], states: Sequence[State]) -> Fits:
    found: dict[str, Sequence[Axes]] = {}
    for key, value in states[0].items():
        if not isinstance(value, Tensor) or value.dim() == 0 or isinstance(value, Encoded):
            continue  # only what is like its parameter is encoded
        shared = fitting(value.shape, layouts[0])
        for whole, state in zip(layouts[1:], states[1:], strict=True):
            if len(shared) > 1 or not shared:
                here = fitting(state[key].shape, whole)
                shared = [axes for axes in shared if axes in here]
            elif state[key].shape != whole.shape(shared[0]):
                shared = []
        of_more = [axes for axes in shared if own_axes(axes)]
        if of_more and of_more != [layouts[0].axes]:
            found[key] = of_more
    return found


def _is_of_heads(tensor: Tensor, param: Tensor) -> bool:
    """Tell whether a tensor may have a number for each of some equal parts of a parameter."""
    if not tensor.dim() or not param.dim() or param.is_complex() or len(tensor) < 2:
        return False
    if _is_factor(tensor, param):
        return False
    divides = len(param) % len(tensor) == 0
    return divides and bool(fitting(tensor.shape, layout(param.shape, len(tensor))))


def _is_factor(tensor: Tensor, param: Tensor) -> bool:
    """Tell whether a tensor is a square matrix beside a matrix, such as a sum of products."""
    return param.dim() == tensor.dim() == 2 and len(set(tensor.shape)) == 1 != len(tensor)


def _is_matrix(tensor: Tensor) -> bool:
    """Tell whether a tensor is more than a vector, whatever its number of dimensions."""
    return sum(size > 1 for size in tensor.shape) > 1


def _is_number_beside(tensor: Tensor, param: Tensor) -> bool:
    """Tell whether a tensor of one number is not like its parameter, which is one number too."""
    return param.dim() == 0 and tensor.dtype not in state_dtypes(param.dtype)


def _is_same(tensor: Tensor, param: Tensor) -> bool:
    """Tell whether two tensors of one shape are the same memory."""
    alike = tensor.dtype is param.dtype and tensor.stride() == param.stride()
    if param.is_meta:  # where all addresses are 0
        storages = tensor.untyped_storage()._cdata, param.untyped_storage()._cdata
        return alike and storages[0] == storages[1]
    return alike and bool(param.numel()) and tensor.data_ptr() == param.data_ptr()

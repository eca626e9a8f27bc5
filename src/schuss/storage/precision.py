"""Precision: a rule computes on real numbers, in single precision or better.

A complex tensor is its real and imaginary parts, side by side in a last dimension of 2 (so $|g|^2$
is the sum of the squares of both, and neither part knows the other). Half precision is computed in
float32 and rounded once, when the result is stored: 1e-8 added to a square root is not lost, as it
would be if every operation rounded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from schuss.contract import Group, Rule, State
from schuss.storage.codecs.encoded import Encoded
from schuss.storage.kinds import CODES, KIND_OF, KINDS
from schuss.storage.ranks import gathered, is_thin, scattered

HALF = frozenset(kind.dtype for kind in KINDS.values() if kind.is_half)
"""The dtypes of half precision: a rule sees them as float32."""

_COMPUTED = {dtype: KINDS[KINDS[name].computed].dtype for dtype, name in KIND_OF.items()}


def computed_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the precision in which a rule sees numbers of a dtype."""
    return _COMPUTED.get(dtype, dtype)


def is_seen_alike(real: Tensor, param: Tensor) -> bool:
    """Tell whether a rule sees a real tensor in the precision in which it sees a parameter."""
    return computed_dtype(real.dtype) is computed_dtype(param.dtype).to_real()


def outgrows(dtype: torch.dtype, of_param: torch.dtype) -> bool:
    """Tell whether state is in double precision, and its parameter in half."""
    return of_param in HALF and dtype is torch.float64


def state_dtypes(dtype: torch.dtype) -> tuple[torch.dtype, ...]:
    """Return the dtypes that state like a parameter may have: its own, or a wider one."""
    return (dtype, computed_dtype(dtype)) if dtype in HALF else (dtype,)


def kept_dtypes(dtype: torch.dtype) -> tuple[torch.dtype, ...]:
    """Return the dtypes that state like a parameter may have if a group asks for others."""
    return tuple(dict.fromkeys((*state_dtypes(dtype), *HALF)))


def made_dtype(dtype: torch.dtype, *, beside_master: bool) -> torch.dtype:
    """Return the dtype of new state like a parameter."""
    return computed_dtype(dtype) if beside_master else dtype


def grad_dtype(param: Tensor, grad: Tensor | None) -> torch.dtype:
    """Return the dtype in which the gradients of a parameter are read: theirs, if it is plain."""
    if grad is None or param.is_complex() or not grad.is_floating_point():
        return param.dtype
    return grad.dtype if grad.dtype.itemsize > 1 else param.dtype


def real_count(tensor: Tensor) -> int:
    """Return how many real numbers a tensor has: of complex ones two each."""
    return tensor.numel() * (2 if tensor.is_complex() else 1)


def is_computable(tensor: Tensor) -> bool:
    """Tell whether a rule may work on `tensor` itself, in place."""
    return not tensor.is_complex() and not _is_copied(tensor)


def are_computable(param: Tensor, state: State) -> bool:
    """Tell whether a rule may work on a parameter and its state themselves, in place."""
    return is_computable(param) and not any(
        isinstance(value, Tensor) and _is_copied(value) for value in state.values()
    )


def computable(tensor: Tensor) -> Tensor:
    """Return a real view of a complex tensor, a float32 copy of a half one, any other as it is.

    A DTensor of which some rank has nothing is gathered on every rank first.
    """
    if isinstance(tensor, Encoded):
        return tensor.decoded()
    tensor = gathered(tensor) if is_thin(tensor) else tensor
    if tensor.is_complex():
        # A lazily conjugated tensor (a gradient, usually) has no real view of its own.
        return torch.view_as_real(tensor.resolve_conj())
    return tensor.float() if tensor.dtype in HALF else tensor


def gradient(grad: Tensor, param: Tensor) -> Tensor:
    """Return a gradient as the rule sees it: real, and in the precision of its parameter."""
    if param.is_complex() and not grad.is_complex():
        grad = grad.to(param.dtype)
    real = computable(grad)
    dtype = computed_dtype(param.dtype)
    return real if real.dtype is dtype or grad.is_sparse else real.to(dtype)


def run_on_computable(rule: Rule, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
    """Run `rule` on computable forms of `param` and its `state`, and store what it did to them."""
    before = {k: _seen(v, param) if isinstance(v, Tensor) else v for k, v in state.items()}
    after = dict(before)
    operand = computable(param)
    rule(after, group, grad, operand)
    for key in before:
        if key not in after:
            del state[key]
    for key, value in after.items():
        if not isinstance(value, Tensor):
            state[key] = value
        elif value is not before.get(key):
            state[key] = _replaced(state.get(key), stored(value, param), param)
        elif _is_copied(state[key]):
            _write_back(state[key], value)
    if _is_copied(param):
        _write_back(param, operand)


def _seen(tensor: Tensor, param: Tensor) -> Tensor:
    """Return the computable form of a tensor of a state, as precise as that of its parameter.

    No rule reads the remainders of weights, and ranks could not exchange them: the libraries that
    they talk with have no int16.
    """
    if tensor.dtype in CODES:
        return tensor
    form = computable(tensor)
    narrow = tensor.dtype in HALF and tensor.shape == param.shape
    return form.to(computed_dtype(param.dtype)) if narrow else form


def _is_copied(tensor: Tensor) -> bool:
    """Tell whether the computable form of a tensor is a copy, and no view of it."""
    if isinstance(tensor, Encoded):
        return True
    if tensor.dtype in CODES:
        return False
    return tensor.dtype in HALF or _is_conjugated(tensor) or is_thin(tensor)


def _is_conjugated(tensor: Tensor) -> bool:
    """Tell whether a tensor is conjugated lazily; tensors that Dynamo traces are not."""
    return tensor.is_complex() and not torch.compiler.is_compiling() and tensor.is_conj()


def _write_back(tensor: Tensor, computed: Tensor) -> None:
    computed = torch.view_as_complex(computed) if tensor.is_complex() else computed
    tensor.copy_(scattered(computed, tensor) if is_thin(tensor) else computed)


def _replaced(kept: Any, value: Tensor, param: Tensor) -> Tensor:
    """Return a tensor that a rule has put in the place of another, as that one was kept."""
    if not isinstance(kept, Tensor) or kept.shape != value.shape:
        return value
    if value.shape != param.shape:
        is_seen_wider = kept.dtype in HALF and value.dtype is torch.float32
        return value.to(kept.dtype) if is_seen_wider else value
    if isinstance(kept, Encoded):
        kept.assign(value)
        return kept
    return value.to(kept.dtype) if kept.is_floating_point() else value


def stored(value: Tensor, param: Tensor) -> Tensor:
    """Return a tensor that a rule has made for `param`, in the form in which state is kept."""
    if is_thin(param) and value.shape == param.shape:
        value = scattered(value, param)
    if param.is_complex() and value.shape == (*param.shape, 2):
        return torch.view_as_complex(value.contiguous())
    if param.dtype in HALF and value.dtype is torch.float32 and value.shape == param.shape:
        return value.to(param.dtype)
    return value

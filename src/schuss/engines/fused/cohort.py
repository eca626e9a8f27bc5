"""Cohorts: parameters for which the rule's Python does the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schuss.contract import Batch, State
from schuss.engines.fused.program import GRAD, PARAM, STATE

REALS = {torch.float32: "float32", torch.complex64: "float32"}
REALS |= {torch.float64: "float64", torch.complex128: "float64"}
"""The precision of a kernel, by the dtype of the parameters that it is for."""


class Cohort:
    """Parameters of one group that share a dtype, and all of their state but the tensors.

    A cohort lasts for many steps. `take` brings the gradients of the next one.

    Attributes:
        params: The parameters.
        states: Their states, in the same order.
        counts: How many real numbers each has.
        contiguous: Whether all of them, and with them their states, are contiguous.
        addresses: Where the numbers of the parameters and of each tensor of the states begin.
    """

    def __init__(self, indices: list[int], params: list[Tensor], states: list[State]) -> None:
        self.params = params
        self.states = states
        self.counts = tuple(p.numel() * (2 if p.is_complex() else 1) for p in params)
        self.contiguous = all(map(Tensor.is_contiguous, params))
        self._indices = indices
        self._keys = [key for key, value in states[0].items() if isinstance(value, Tensor)]
        self._scalars = {k: v for k, v in states[0].items() if k not in self._keys}
        self.addresses = self._found()

    def holds(self, state: Mapping[Tensor, State]) -> bool:
        """Tell whether the parameters, in `state`, still have the states that are this cohort's."""
        found = list(map(state.get, self.params))
        return all(map(is_, found, self.states)) or not (any(found) or any(self.states))

    def take(self, batch: Batch) -> bool:
        """Take the gradients of a step, if all else is as it was when the cohort was made."""
        size = len(self._keys) + len(self._scalars)
        if any(len(state) != size for state in self.states):
            return False
        try:
            scalars = {k: {state[k] for state in self.states} for k in self._scalars}
            found = self._found()
        except (KeyError, AttributeError, TypeError):
            return False
        if any(len(values) > 1 for values in scalars.values()):
            return False
        if any(not np.array_equal(found[place], self.addresses[place]) for place in found):
            return False
        grads = [batch.grads[index] for index in self._indices]
        if not (self.contiguous and all(map(Tensor.is_contiguous, grads))) or grads[0].is_complex():
            grads = [_laid_out(grad, param) for grad, param in zip(grads, self.params, strict=True)]
        self._grads = grads  # kept until the kernel has read them
        self.addresses[GRAD] = _addresses(grads)
        return True

    def add(self, key: str) -> None:
        """Give every state a new tensor, whose numbers are yet to be written."""
        for state, param in zip(self.states, self.params, strict=True):
            state[key] = torch.empty_like(param, requires_grad=False)
        self.addresses[STATE + key] = _addresses([state[key] for state in self.states])

    def _found(self) -> dict[str, NDArray[np.int64]]:
        found = {STATE + k: _addresses([state[k] for state in self.states]) for k in self._keys}
        return {PARAM: _addresses(self.params), **found}


def divided(batch: Batch, states: Sequence[State]) -> list[Cohort]:
    """Divide a batch into cohorts.

    Args:
        batch: Parameters of one group, for each of which `obstacle` returns None.
        states: Their states.
    """
    found: dict[object, list[int]] = {}
    for index, (param, state) in enumerate(zip(batch.params, states, strict=True)):
        scalars = tuple((k, None if isinstance(v, Tensor) else v) for k, v in state.items())
        found.setdefault((param.dtype, scalars), []).append(index)
    return [
        Cohort(indices, [batch.params[i] for i in indices], [states[i] for i in indices])
        for indices in found.values()
    ]


def same_parameters(batch: Batch, cohorts: Sequence[Cohort]) -> bool:
    """Tell whether cohorts are of exactly the parameters of a batch."""
    params: list[Tensor | None] = [None] * len(batch.params)
    if sum(len(cohort.params) for cohort in cohorts) != len(params):
        return False
    for cohort in cohorts:
        for index, param in zip(cohort._indices, cohort.params, strict=True):
            params[index] = param
    return all(map(is_, params, batch.params))


def obstacle(param: Tensor, state: State) -> str | None:
    """Return why no kernel can run a parameter, or None if one can.

    A kernel takes the tensors of a row as equally long arrays of one type, side by side in memory.
    """
    if type(param) not in (Tensor, torch.nn.Parameter):
        return f"a {type(param).__name__} is not a plain tensor"
    if param.device.type != "cpu":
        return f"there is no kernel for device {param.device}"
    if param.dtype not in REALS:
        return f"there is no kernel for {param.dtype}"
    if not _is_dense(param):
        return f"the parameter has gaps in memory (strides {tuple(param.stride())})"
    tensors = [param]
    for key, value in state.items():
        if isinstance(value, Tensor):
            if (value.dtype, value.shape, value.device) != (param.dtype, param.shape, param.device):
                return f"state {key!r} is a tensor unlike the parameter"
            if value.stride() != param.stride():
                return f"state {key!r} has another memory layout than the parameter"
            tensors.append(value)
        elif not isinstance(value, (int, float, str, type(None))):
            return f"state {key!r} is a {type(value).__name__}"
    if param.numel() and len({tensor.data_ptr() for tensor in tensors}) < len(tensors):
        return "tensors of the state share memory with each other or with the parameter"
    return None


def _is_dense(tensor: Tensor) -> bool:
    """Tell whether the elements of a tensor fill one stretch of memory, in whatever order."""
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def _laid_out(grad: Tensor, param: Tensor) -> Tensor:
    """Return the gradient in the memory layout of its parameter, a copy if need be."""
    if grad.stride() == param.stride() and not grad.is_conj():
        return grad
    return torch.empty_like(param, requires_grad=False).copy_(grad)


def _addresses(tensors: Sequence[Tensor]) -> NDArray[np.int64]:
    return np.array(list(map(Tensor.data_ptr, tensors)), dtype=np.int64)

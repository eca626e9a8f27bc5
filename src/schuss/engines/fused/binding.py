"""Binding kernels to the memory of a cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.cohort import Cohort
from schuss.engines.folded import FoldedView
from schuss.engines.fused.kernels import kernel
from schuss.engines.fused.launch import Launch
from schuss.engines.fused.storage import KINDS, LOADED, Storage
from schuss.engines.tracing.errors import NoDeviceKernelError, UnfusableError
from schuss.engines.tracing.folding import Folds
from schuss.engines.tracing.program import COUNT, GRAD, PARAM, STATE, Place, Program
from schuss.engines.tracing.tracer import Trace
from schuss.storage.precision import HALF


class Binding:
    """The tensors of a cohort as arrays that kernels take, from step to step.

    A kernel takes the tensors of a row as equally long arrays, side by side in memory. A tensor
    that has gaps, or another layout than its parameter, is copied in and out.

    Args:
        cohort: The cohort.

    Raises:
        UnfusableError: There is no kernel for such tensors.
    """

    def __init__(self, cohort: Cohort) -> None:
        param = cohort.params[0]
        if param.device.type != "cpu":
            raise NoDeviceKernelError(param.device)
        if param.dtype not in KINDS:
            raise UnfusableError(f"there is no kernel for {param.dtype}")
        self.cohort = cohort
        self.forms = [
            p if self._is_laid_out(p) else torch.empty(p.shape, dtype=p.dtype)
            for p in cohort.params
        ]
        self._copies: list[tuple[Tensor, Tensor]] = []
        self._launches: dict[tuple[int, Folds | None], tuple[Program, Launch]] = {}
        # Addresses, not tensors: who else refers to those is looked at before every step.
        arrays = {p: self._bound(p) for p in cohort.inputs if p.name not in (GRAD, COUNT.name)}
        self._names = {place.name for place in cohort.inputs}
        self._addresses = {place.name: addresses(tensors) for place, tensors in arrays.items()}
        self._addresses[COUNT.name] = np.array(self._counts, dtype=np.int64)
        self._storage = _storage(cohort, {place: a[0].dtype for place, a in arrays.items()})

    def launch(self, trace: Trace) -> Launch:
        """Return the kernel of a trace, ready to run; compile it if it is new."""
        key = id(trace.program), trace.folds
        _, launch = self._launches.get(key, (None, None))
        if launch is None:
            launch = self._new_launch(trace)
            self._launches[key] = trace.program, launch  # which keeps the id its own
        return launch

    def run(self, trace: Trace, launch: Launch, grads: NDArray[np.int64] | list[Tensor]) -> bool:
        """Take a step.

        Args:
            trace: What is to be done.
            launch: Its kernel.
            grads: The gradients in the layout of `forms`, or their addresses.

        Returns:
            Whether the cohort remains as it is: no state has come or gone.
        """
        launch.addresses[0] = addresses(grads) if isinstance(grads, list) else grads
        cohort = self.cohort
        columns = launch.kernel.source.columns
        made = [place for place in columns if place.name not in self._names]
        for place in made:
            launch.addresses[columns.index(place)] = addresses(self._add(place, trace))
        for tensor, copy in self._copies:
            copy.copy_(tensor)
        if trace.program.outputs:
            launch.run(trace.arguments)
        for tensor, copy in self._copies:
            tensor.copy_(copy)
        cohort.take_scalars(trace.scalars)
        for key in trace.dropped:
            for state in cohort.states:
                del state[key]
        return not made and not trace.dropped

    def sums(self, trace: Trace, launch: Launch, grads: NDArray[np.int64]) -> dict[str, float]:
        """Return the sums of the numbers that a trace leaves in the states, which stay as they are.

        Args:
            trace: What is to be done.
            launch: Its kernel.
            grads: The addresses of the gradients in the layout of `forms`.

        Raises:
            UnfusableError: It leaves more than one number for a parameter.
        """
        columns = launch.kernel.source.columns
        made = [place for place in columns if place.name not in self._names]
        if not all(place.per_tensor for place in made):
            raise UnfusableError("what is measured has to be one number for each parameter")
        real = np.float64 if self.cohort.like.dtype is torch.float64 else np.float32
        values = np.zeros((len(made), len(self.forms)), dtype=real)
        places = values.ctypes.data + values.itemsize * np.arange(values.size).reshape(values.shape)
        for row, place in zip(places, made, strict=True):
            launch.addresses[columns.index(place)] = row
        launch.addresses[0] = grads
        for tensor, copy in self._copies:
            copy.copy_(tensor)
        launch.run(trace.arguments)
        totals = values.sum(axis=1, dtype=np.float64).tolist()
        found = {p.name.removeprefix(STATE): t for p, t in zip(made, totals, strict=True)}
        for key, value in trace.scalars.items():
            found[key] = float(value) * len(self.forms)
        return found

    def laid_out(self, grads: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients in the layout of `forms`, as copies where need be."""
        laid_out = []
        for form, grad in zip(self.forms, grads, strict=True):
            plain = is_alike(grad, form) and not grad.is_conj() and not grad.is_neg()
            laid_out.append(
                grad if plain else torch.empty_like(form, requires_grad=False).copy_(grad)
            )
        return laid_out

    def _is_laid_out(self, param: Tensor) -> bool:
        """Tell whether a kernel can take a parameter as it lies in memory."""
        return param.is_contiguous() if self.cohort.dimensions.along else is_dense(param)

    def _new_launch(self, trace: Trace) -> Launch:
        folds = trace.folds
        sizes = [folds.sizes(each.sizes) for each in self.cohort.layouts] if folds else []
        launch = Launch(kernel(trace.program, self._storage), self._counts, sizes)
        for column, place in enumerate(launch.kernel.source.columns):
            if place.name in self._addresses:
                launch.addresses[column] = self._addresses[place.name]
        return launch

    @cached_property
    def _counts(self) -> list[int]:
        return [p.numel() * (2 if p.is_complex() else 1) for p in self.forms]

    def _bound(self, place: Place) -> list[Tensor]:
        """Return arrays for the tensors at a place, and note which are copies."""
        tensors = self.cohort.tensors(place)
        if place.per_tensor:
            return tensors
        arrays = []
        for form, tensor in zip(self.forms, tensors, strict=True):
            if is_alike(tensor, form) if tensor.shape == form.shape else tensor.is_contiguous():
                arrays.append(tensor)
                continue
            copy = form if place.name == PARAM else _empty_like(form, tensor)
            self._copies.append((tensor.detach(), copy))
            arrays.append(copy)
        return arrays

    def _add(self, place: Place, trace: Trace) -> list[Tensor]:
        """Give every state a new tensor, whose numbers are yet to be written."""
        key = place.name.removeprefix(STATE)
        dtype = self.cohort.like.dtype if place.per_tensor else _kept_dtype(self.cohort)
        if trace.folds is not None and key in trace.axes:
            views = [FoldedView(trace.folds, each, trace.axes) for each in self.cohort.layouts]
            tensors = [torch.empty(view.shape_at(key), dtype=dtype) for view in views]
        elif place.per_tensor:
            tensors = [torch.empty((), dtype=dtype) for _ in self.forms]
        else:
            tensors = [torch.empty_like(f, dtype=dtype, requires_grad=False) for f in self.forms]
        for state, tensor in zip(self.cohort.states, tensors, strict=True):
            state[key] = tensor
        return tensors


def _empty_like(form: Tensor, tensor: Tensor) -> Tensor:
    """Return a tensor that kernels can take, for the numbers of another."""
    if tensor.shape == form.shape:
        return torch.empty_like(form, dtype=tensor.dtype, requires_grad=False)
    return torch.empty(tensor.shape, dtype=tensor.dtype)


def _kept_dtype(cohort: Cohort) -> torch.dtype:
    """Return the precision of state that a rule makes."""
    return torch.float32 if cohort.has_master else cohort.params[0].dtype


def _storage(cohort: Cohort, dtypes: Mapping[Place, torch.dtype]) -> Storage:
    """Return how the numbers are stored, given the precision at each place."""
    param = cohort.params[0]
    kinds = {GRAD: KINDS[param.dtype]}
    for place, dtype in dtypes.items():
        wider = param.dtype in HALF and dtype is torch.float32
        alike = KINDS.get(dtype) == KINDS[param.dtype]
        if not (alike or (dtype in KINDS and (wider or place.per_tensor))):
            raise UnfusableError(f"{place.name} is {dtype}, for a parameter of {param.dtype}")
        kinds[place.name] = KINDS[dtype]
    real = LOADED[KINDS[param.dtype]]
    return Storage(real, tuple(kinds.items()), KINDS[_kept_dtype(cohort)])


def addresses(tensors: Sequence[Tensor]) -> NDArray[np.int64]:
    """Return where the numbers of tensors begin."""
    return np.array(list(map(Tensor.data_ptr, tensors)), dtype=np.int64)


def is_dense(tensor: Tensor) -> bool:
    """Tell whether the elements of a tensor fill one stretch of memory, in whatever order."""
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def is_alike(tensor: Tensor, form: Tensor) -> bool:
    """Tell whether two tensors of one shape have their elements in one order."""
    if tensor.stride() == form.stride():
        return True
    return tensor.is_contiguous() and form.is_contiguous()

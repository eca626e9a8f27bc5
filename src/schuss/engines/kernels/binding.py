"""Binding kernels to the memory of a cohort."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.matrix_view import MatrixView
from schuss.engines.cohorts.scalars import Indices
from schuss.engines.cohorts.tensors import own_tensors
from schuss.engines.devices.cpu.torch_layout import torch_layout, version_of
from schuss.engines.devices.device import Launch, Run, Tensors, device_for
from schuss.engines.devices.layout import scales_of
from schuss.engines.errors import UnfusableError
from schuss.engines.kernels.computed import NumbersOfCohort, addresses
from schuss.engines.kernels.kernel import kernel
from schuss.engines.memory import StridedLike, is_within_storage, strided_like
from schuss.engines.program.program import COUNT, GRAD, PARAM, STATE, Place, Program
from schuss.engines.tracing.tracer import Trace
from schuss.storage.codecs import Encoded
from schuss.storage.codecs.kinds import ENCODED
from schuss.storage.kinds import CODES, KIND_OF, KINDS, Kinds
from schuss.storage.precision import kept_dtypes, made_dtype, real_count


class Binding:
    """The tensors of a cohort as arrays that kernels take, from step to step.

    A kernel takes a parameter, its gradient and its state as equally long arrays, without gaps. A
    tensor that has gaps, or another layout than its parameter, is copied in and out.

    Args:
        cohort: The cohort.

    Attributes:
        cohort: The cohort.
        likes: The form that a gradient of each parameter has to have.
        places: The names of the places that are bound; a program may write to others.
        kinds: How the numbers at these places are stored.
        numbers: It tells what computes the numbers of a trace on the device.

    Raises:
        UnfusableError: There is no kernel for such tensors.
    """

    def __init__(self, cohort: Cohort) -> None:
        param = cohort.params[0]
        self._device = device_for(param.device)
        if param.dtype not in KIND_OF:
            raise UnfusableError(f"there is no kernel for {param.dtype}")
        for tensor in own_tensors(cohort):
            if not is_within_storage(tensor):
                raise UnfusableError(f"a tensor of shape {tuple(tensor.shape)} has no memory")
        self.cohort = cohort
        self._arrays = [
            p if self._is_laid_out(p) else torch.empty(p.shape, dtype=p.dtype, device=p.device)
            for p in cohort.params
        ]
        self.likes = [strided_like(array, cohort.grad_dtype) for array in self._arrays]
        self._copies: list[tuple[int, Tensor, Tensor]] = []
        self._launches: dict[object, tuple[Program, Launch]] = {}
        self._runs: dict[Launch, Run] = {}
        self._measured: dict[tuple[Launch, Place], Tensor] = {}
        self._unseen: frozenset[int] = frozenset()
        self.numbers = NumbersOfCohort(cohort, self._device)
        bound = {p: self._bound(p) for p in cohort.inputs if p.name not in (GRAD, COUNT.name)}
        self.places = frozenset(place.name for place in cohort.inputs)
        self._addresses = {place.name: addresses(tensors) for place, tensors in bound.items()}
        for key in cohort.codecs:
            scales = [state[key].scales for state in cohort.states]
            self._addresses[scales_of(Place(STATE + key)).name] = addresses(scales)
        self._addresses[COUNT.name] = np.array(self._counts, dtype=np.int64)
        dtypes = {place: a[0].dtype for place, a in bound.items()}
        self.kinds = _kinds(cohort, dtypes)

    def launch(
        self,
        trace: Trace,
        earlier: int = 0,
        dtypes: Mapping[str, torch.dtype] = MappingProxyType({}),
        runs: int = 1,
    ) -> Launch:
        """Return the kernel of a trace, ready to run; compile it if it is new.

        Args:
            trace: The trace.
            earlier: How many launches of the same program there are before in a step.
            dtypes: The precision at temporary places of the program, by name.
            runs: How often it is to run in a step, at most.
        """
        key = id(trace.program), trace.matrix_axes, earlier, tuple(dtypes.items())
        _, launch = self._launches.get(key, (None, None))
        if launch is None:
            launch = self._new_launch(trace, dtypes, runs)
            self._launches[key] = trace.program, launch  # which keeps the id its own
        return launch

    def hidden_tensors(self) -> list[Tensor]:
        """Return the tensors of states that only kernels are given, unless a step has functions."""
        if self._copies or self.cohort.is_capturable:  # which torch reads and writes
            return []
        states, keys = self.cohort.states, self.cohort.codecs
        others = {id(part) for s in states for k in keys for part in (s[k].codes, s[k].scales)}
        others |= set(map(id, self.cohort.params))
        return [tensor for tensor in own_tensors(self.cohort) if id(tensor) not in others]

    def hide(self, unseen: Iterable[Tensor]) -> None:
        """Let launches not raise the versions of tensors that nobody can reach; see `Cohort`."""
        self.cohort.write_scalars()  # with the versions of those that were hidden before
        self.cohort.unseen.clear()
        self._unseen = frozenset(map(id, unseen))
        self._launches.clear()
        self._runs.clear()
        self._measured.clear()

    def run(self, launch: Launch) -> Run:
        """Return the run of a launch alone, the same one in every step."""
        if launch not in self._runs:
            self._runs[launch] = self._device.run([launch])
        return self._runs[launch]

    @property
    def has_copies(self) -> bool:
        """Whether there are tensors that no kernel can take as they lie in memory."""
        return bool(self._copies)

    def copy_in(self, indices: Indices) -> None:
        """Copy the tensors of some parameters that no kernel can take as they lie in memory."""
        for tensor, copy in self._copied(indices):
            copy.copy_(tensor)

    def copy_out(self, indices: Indices) -> None:
        """Copy them back."""
        for tensor, copy in self._copied(indices):
            tensor.copy_(copy)

    def _copied(self, indices: Indices) -> list[tuple[Tensor, Tensor]]:
        among = set(indices.tolist())
        return [(tensor, copy) for index, tensor, copy in self._copies if index in among]

    def likes_by_param(self) -> Iterable[tuple[Tensor, StridedLike]]:
        """Return each parameter, and what its gradients have to be like."""
        return zip(self.cohort.params, self.likes, strict=True)

    def laid_out(self, indices: Sequence[int], grads: Sequence[Tensor]) -> list[Tensor]:
        """Return gradients of some parameters as kernels take them, as copies where need be."""
        return [
            grad
            if self.likes[index].fits(grad)
            else torch.empty_like(
                self._arrays[index], dtype=self.likes[index].dtype, requires_grad=False
            ).copy_(grad)
            for index, grad in zip(indices, grads, strict=True)
        ]

    def measured(self, launch: Launch, place: Place) -> Tensor:
        """Return room for a number of each parameter that is no state, the same in every step."""
        if (launch, place) not in self._measured:
            like, count = self.cohort.like, len(self.cohort.params)
            self._measured[launch, place] = torch.zeros(count, dtype=like.dtype, device=like.device)
        return self._measured[launch, place]

    def made(self, place: Place, trace: Trace, indices: Indices) -> list[Tensor]:
        """Return new tensors at a place of the states, whose numbers are yet to be written."""
        key = place.name.removeprefix(STATE)
        like = self.cohort.like
        dtype = like.dtype if place.per_tensor else _made_dtype(self.cohort)
        if trace.matrix_axes is not None and key in trace.axes:
            layouts = self.cohort.layouts
            views = [MatrixView(trace.matrix_axes, layouts[index], trace.axes) for index in indices]
            shapes = [view.shape_at(key) for view in views]
            return [torch.empty(shape, dtype=dtype, device=like.device) for shape in shapes]
        if place.per_tensor:
            return [torch.empty((), dtype=dtype, device=like.device) for _ in indices]
        arrays = [self._arrays[index] for index in indices]
        return [torch.empty_like(a, dtype=dtype, requires_grad=False) for a in arrays]

    def _is_laid_out(self, param: Tensor) -> bool:
        """Tell whether a kernel can take a parameter as it lies in memory."""
        dimensions = self.cohort.dimensions
        ordered = dimensions.along or dimensions.whole is not None or self.cohort.codecs
        return param.is_contiguous() if ordered else is_dense(param)

    def _new_launch(self, trace: Trace, dtypes: Mapping[str, torch.dtype], runs: int) -> Launch:
        matrix_axes = trace.matrix_axes
        sizes = (
            [matrix_axes.sizes(each.sizes) for each in self.cohort.layouts] if matrix_axes else []
        )
        temporary = tuple((name, KIND_OF[dtype]) for name, dtype in dtypes.items())
        kinds = self.kinds._replace(at=(*self.kinds.at, *temporary))
        made = kernel(trace.program, kinds, self._device)
        versions = [self._versions(place) for place, _ in trace.program.outputs]
        versions = [of_place for of_place in versions if any(of_place)]
        cohort = self.cohort
        device, is_capturable = cohort.like.device, cohort.is_capturable
        about = Tensors(device, self._counts, sizes, versions, is_capturable, runs)
        launch = self._device.launch(made, about)
        for column, place in enumerate(made.source.columns):
            if place.name in self._addresses:
                launch.addresses[column] = self._addresses[place.name]
            elif place.name not in self.places:
                launch.new_places.append((column, place))
        return launch

    def _versions(self, place: Place) -> list[int]:
        """Return the addresses of the versions of the tensors at a place; 0 where there is none."""
        known = torch_layout()
        if known is None or place.name not in self.places:
            return [0] * len(self.likes)
        tensors = self.cohort.tensors(place)
        versions = [version_of(known, tensor) for tensor in tensors]
        for index, (tensor, version) in enumerate(zip(tensors, versions, strict=True)):
            if version and id(tensor) in self._unseen:
                self.cohort.unseen[id(tensor)] = tensor
                versions[index] = 0
        return versions

    @cached_property
    def _counts(self) -> list[int]:
        return list(map(real_count, self._arrays))

    def _bound(self, place: Place) -> list[Tensor]:
        """Return arrays for the tensors at a place, and note which are copies."""
        tensors = self.cohort.tensors(place)
        if place.per_tensor:
            return tensors
        if place.name.removeprefix(STATE) in self.cohort.codecs:
            return [tensor.codes for tensor in tensors if isinstance(tensor, Encoded)]
        bound = []
        for index, (array, tensor) in enumerate(zip(self._arrays, tensors, strict=True)):
            if is_alike(tensor, array) if tensor.shape == array.shape else tensor.is_contiguous():
                bound.append(tensor)
                continue
            copy = array if place.name == PARAM else _empty_like(array, tensor)
            self._copies.append((index, tensor.detach(), copy))
            bound.append(copy)
        return bound


def _empty_like(array: Tensor, tensor: Tensor) -> Tensor:
    """Return a tensor that kernels can take, for the numbers of another."""
    if tensor.shape == array.shape:
        return torch.empty_like(array, dtype=tensor.dtype, requires_grad=False)
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)


def _made_dtype(cohort: Cohort) -> torch.dtype:
    return made_dtype(cohort.params[0].dtype, beside_master=cohort.weights is not None)


def _kinds(cohort: Cohort, dtypes: Mapping[Place, torch.dtype]) -> Kinds:
    """Return how the numbers are stored, given the precision at each place."""
    param = cohort.params[0]
    kinds = {GRAD: KIND_OF[cohort.grad_dtype]}
    for place, dtype in dtypes.items():
        codec = cohort.codecs.get(place.name.removeprefix(STATE))
        if codec is not None:
            kinds[place.name] = ENCODED + codec.name
            continue
        if dtype in CODES:
            kinds[place.name] = CODES[dtype]
            continue
        alike = KIND_OF.get(dtype) == KIND_OF[param.dtype]
        wider = dtype in kept_dtypes(param.dtype)
        if not (alike or (dtype in KIND_OF and (wider or place.per_tensor))):
            raise UnfusableError(f"{place.name} is {dtype}, for a parameter of {param.dtype}")
        kinds[place.name] = KIND_OF[dtype]
    real = KINDS[KIND_OF[param.dtype]].computed
    return Kinds(real, tuple(kinds.items()), KIND_OF[_made_dtype(cohort)])


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


def is_alike(tensor: Tensor, like: Tensor) -> bool:
    """Tell whether two tensors of one shape have their elements in one order."""
    if tensor.stride() == like.stride():
        return True
    return tensor.is_contiguous() and like.is_contiguous()

"""Gathering gradients: where they are, and whether anything but them has changed."""

from __future__ import annotations

from collections.abc import Container, Sequence
from operator import is_

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.devices.cpu.torch_layout import torch_layout
from schuss.engines.devices.cpu.words import IDLE, WITHOUT
from schuss.engines.kernels.alone import alone
from schuss.engines.kernels.fast_gradients import FastGradients, fast_gradients, is_compiled
from schuss.engines.memory import StridedLike, has_memory, is_within_storage, overlaps, ranges

PATIENCE = 2
"""Steps before the fast look is compiled, so that the first one need not wait for it."""

HOLDERS = 3
"""How many containers of ours hold a tensor of a state: the state, and two lists of `Gradients`."""


class Gradients:
    """The gradients of a group, and all that must not have changed for them to be of use.

    Of every parameter and every tensor of the states it is checked in each step that it is the
    tensor that it was, of the same dtype, sizes and strides, in the same memory. Left out are
    tensors of states that nobody else has a reference to: whoever asks the engine for one makes it
    plan the step anew, and without one nobody can change them.

    Args:
        listed: The parameters of the group.
        batch: Those that may get a gradient.
        own: All tensors of the optimizer: these parameters, and the tensors of their states.
        likes: The form that a gradient of each has to have, in the order of the batch.
        states: Those of `own` that only the dictionaries of the states hold, as far as we know.
        begun: The parameters that have a state. The gradient of one without numbers is of no matter
            then, while the first one gives it its state.

    Attributes:
        missing: How many parameters of the batch had no gradient in the last look.
        unseen: The tensors that are not looked at, because nobody else can reach them.
    """

    def __init__(
        self,
        listed: Sequence[Tensor],
        batch: Sequence[Tensor],
        own: Sequence[Tensor],
        likes: Sequence[StridedLike],
        states: Sequence[Tensor] = (),
        begun: Container[Tensor] = (),
    ) -> None:
        index = {id(param): number for number, param in enumerate(batch)}
        index |= {id(param): IDLE for param in listed if not param.numel() and param in begun}
        self._listed = list(listed)
        self._indices = [index.get(id(param), WITHOUT) for param in listed]
        self._own = [*own, *(param for param in listed if not param.numel())]
        self._count = len(own)
        self._likes = likes
        self._states = list(states)
        self.unseen: Sequence[Tensor] = ()
        self._is_outdated = False
        self._identities = [_identity(tensor) for tensor in self._own]
        self._bounds = ranges(self._own)
        self._fast: FastGradients | None = None
        self._steps = 0
        self._held: list[Tensor] = []
        self.missing = 0

    def look(self, params: Sequence[Tensor]) -> NDArray[np.int64] | None:
        """Return where the gradients begin.

        Args:
            params: The parameters of the group, now.

        Returns:
            For each parameter of the batch an address, 0 if it has no gradient. None if anything
            but gradients has changed, or one of these is not as it has to be. The gradients are
            kept alive until `release`.
        """
        self._steps += 1
        if self._fast is not None and type(params) is list:
            found = self._fast.look(params)
            self.missing = self._fast.missing
            return found
        found = self._look_by_python(list(params))
        if found is not None and self._fast is None and self._is_time():
            self._begin_fast()
        return found

    def _begin_fast(self) -> None:
        """Look in compiled code from here on: everything is as it was when the batch was made."""
        if torch_layout() is None:
            return
        unseen = alone(self._states, HOLDERS) if self._states else []
        known = set(map(id, unseen))
        own = [tensor for tensor in self._own if id(tensor) not in known]
        about = self._indices, own, self._likes, self._bounds
        self._fast = fast_gradients(self._listed, *about)
        if self._fast is not None:
            self.unseen = unseen

    def _is_time(self) -> bool:
        return self._steps == PATIENCE or is_compiled()

    def is_of(self, tensors: Sequence[Tensor]) -> bool:
        """Tell whether these are the tensors that belong to the optimizer, in their order."""
        return len(tensors) == self._count and all(map(is_, tensors, self._own))

    def show_all(self) -> None:
        """Look at all tensors of states from the next look on."""
        self._states = []
        if self.unseen:
            self._fast, self.unseen = None, ()

    def show(self, tensors: Sequence[Tensor]) -> None:
        """Look at some tensors of states from the next step on: others may reach them now."""
        shown = set(map(id, tensors))
        kept = [tensor for tensor in self._states if id(tensor) not in shown]
        if len(kept) < len(self._states):
            self._states = kept
            self._is_outdated = True

    def release(self) -> None:
        """Let go of the gradients."""
        self._held = []
        if self._fast is not None:
            self._fast.release()
            if self._is_outdated:
                self._fast, self.unseen = None, ()
        self._is_outdated = False

    def _look_by_python(self, params: list[Tensor]) -> NDArray[np.int64] | None:
        if len(params) != len(self._listed) or not all(map(is_, params, self._listed)):
            return None
        if [_identity(tensor) for tensor in self._own] != self._identities:
            return None
        found = np.zeros(len(self._likes), dtype=np.int64)
        grads = [param.grad for param in params]
        for index, grad in zip(self._indices, grads, strict=True):
            if grad is not None and index != IDLE:
                if index == WITHOUT or not self._is_of_use(grad, self._likes[index]):
                    return None
                found[index] = grad.data_ptr()
        self._held = [grad for grad in grads if grad is not None]
        self.missing = int((found == 0).sum())
        return found

    def _is_of_use(self, grad: Tensor, like: StridedLike) -> bool:
        return like.fits(grad) and not overlaps(grad, *self._bounds)


def _identity(tensor: Tensor) -> object:
    """Return what tells that a tensor is what it was, where it was."""
    if not has_memory(tensor) or not is_within_storage(tensor):
        return object()  # like nothing else
    kind = (tensor.dtype, tensor.device, tensor.shape, tensor.stride())
    return id(tensor), tensor.data_ptr(), kind

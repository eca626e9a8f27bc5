"""Gathering gradients: where they are, and whether anything but them has changed."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schuss.contract import Batch
from schuss.engines.fused.binding import addresses, is_alike
from schuss.engines.fused.walker import Walker, walker

PATIENCE = 2
"""Steps before the walker is compiled, so that the first one need not wait for it."""


class Gradients:
    """The gradients of a group, whose parameters are remembered from step to step.

    Args:
        params: The parameters of the group.
        batch: Those that have a gradient.
        forms: What has their layout, in the order of the batch.
    """

    def __init__(self, params: Sequence[Tensor], batch: Batch, forms: Sequence[Tensor]) -> None:
        self._params = list(params)
        self._forms = forms
        present = set(map(id, batch.params))  # without those whose gradient is sparse
        self._with_grad = [id(param) in present for param in params]
        self._present = batch.params
        self._addresses = addresses(batch.params)
        self._walker: Walker | None = None
        self._steps = 0

    def addresses(self, params: list[Tensor]) -> NDArray[np.int64] | None:
        """Return where the gradients begin.

        Args:
            params: The parameters of the group, now.

        Returns:
            For each parameter of the batch an address. None if there are other parameters, or they
            lie elsewhere, or others have gradients, or a gradient has another layout or precision.
        """
        self._steps += 1
        if self._walker is not None:
            return self._walker.walk(params)
        if self._steps == PATIENCE and all(self._with_grad):
            self._walker = walker(self._params, self._addresses, self._forms)
        return self._addresses_by_python(params)

    def _addresses_by_python(self, params: Sequence[Tensor]) -> NDArray[np.int64] | None:
        if len(params) != len(self._params) or not all(map(is_, params, self._params)):
            return None
        found = [param.grad for param in params]
        if [grad is not None for grad in found] != self._with_grad:
            return None
        grads = [grad for grad in found if grad is not None]
        for grad, form in zip(grads, self._forms, strict=True):
            if (
                grad.dtype is not form.dtype
                or grad.layout is not torch.strided
                or not is_alike(grad, form)
                or grad.is_conj()
                or grad.is_neg()
            ):
                return None
        if not np.array_equal(addresses(self._present), self._addresses):
            return None
        return addresses(grads)

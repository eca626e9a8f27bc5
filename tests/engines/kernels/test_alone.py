"""A tensor is alone if nobody but some containers refers to it or to its memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.weak import TensorWeakRef

from schuss.engines.kernels.alone import alone

ROUTES: dict[str, Callable[[Tensor], Any]] = {
    "itself": lambda tensor: tensor,
    "a dictionary": lambda tensor: {"exp_avg": tensor},
    "a view": lambda tensor: tensor[1:],
    "an alias": Tensor.detach,
    "its data": lambda tensor: tensor.data,
    "another tensor of its storage": lambda tensor: torch.empty(0).set_(tensor.untyped_storage()),
    "its storage": Tensor.untyped_storage,
    "an array": Tensor.numpy,
    "a capsule": torch.utils.dlpack.to_dlpack,
    "a graph": lambda tensor: (tensor * torch.ones(3, requires_grad=True)).sum(),
    "a weak reference": weakref.ref,
    "a weak reference of torch": TensorWeakRef,
    "a weak reference to torch's object": vars(torch._C)["_WeakTensorRef"],
    "a weak reference to its storage": lambda tensor: weakref.ref(tensor.untyped_storage()),
    "a weak reference to torch's storage": lambda t: StorageWeakRef(t.untyped_storage()),
}


@pytest.mark.parametrize("route", ROUTES)
def test_a_tensor_is_alone_unless_somebody_has_a_way_to_it(route: str) -> None:
    tensors = [torch.zeros(3), torch.zeros_like(torch.nn.Parameter(torch.ones(4))), torch.ones(3)]
    states = [{"exp_avg": tensor} for tensor in tensors]
    assert list(map(len, alone(tensors, 2))) == [3, 4, 3]
    way = ROUTES[route](tensors[0])
    assert list(map(len, alone(tensors, 2))) == [4, 3]
    del way
    assert list(map(len, alone(tensors, 2))) == [3, 4, 3]
    assert len(states) == len(tensors)


def test_tensors_that_share_their_memory_are_not_alone() -> None:
    flat = torch.zeros(6)
    tensors = [flat[:2], flat[2:], torch.zeros(3)]
    del flat
    assert list(map(len, alone(tensors, 1))) == [3]


def test_a_tensor_that_fewer_or_more_containers_hold_is_not_alone() -> None:
    tensors = [torch.zeros(3)]
    assert alone(tensors, 2) == []
    others = [list(tensors) for _ in range(2)]
    assert alone(tensors, 2) == []
    assert len(alone(tensors, 3)) == len(others[0])

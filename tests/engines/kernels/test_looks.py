"""A look at memory notices whatever is no longer as it was, in compiled code and in Python."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from schuss.engines.devices.cpu.torch_layout import torch_layout, version_of
from schuss.engines.kernels import fast_gradients as looks
from schuss.engines.kernels import gradients
from schuss.engines.kernels.fast_gradients import FastGradients
from schuss.engines.kernels.fast_gradients import fast_gradients as fast
from schuss.engines.kernels.gradients import Gradients
from schuss.engines.memory import ranges, strided_like


class Scene:
    """Three parameters, the last without a gradient and with a state of its own, and one without
    numbers."""

    def __init__(self) -> None:
        self.params: list[Tensor] = [
            nn.Parameter(torch.ones(2, 3)),
            nn.Parameter(torch.ones(3, 2).t()),
            nn.Parameter(torch.ones(5)),
            nn.Parameter(torch.ones(0, 2)),
        ]
        self.state = torch.zeros(5)
        for param in self.params[:2]:
            param.grad = torch.ones_like(param)
        self.batch = self.params[:3]
        self.likes = [strided_like(param) for param in self.batch]
        self.own = [*self.batch, self.state, self.params[3]]

    def python(self) -> Callable[[list[Tensor]], Any]:
        own, begun = [*self.batch, self.state], {self.params[3]}
        self.gradients = Gradients(self.params, self.batch, own, self.likes, begun=begun)
        return self.gradients._look_by_python

    def shared(self) -> Callable[[list[Tensor]], Any]:
        """Return a look that threads share among themselves, a tensor at a time."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(looks, "SHARE", 1)
            patch.setattr(looks, "ALONE", 0)
            look = self.compiled()
        assert self.fast._shares.count == len(self.own)
        return look

    def compiled(self) -> Callable[[list[Tensor]], Any]:
        found = fast(self.params, [0, 1, 2, -2], self.own, self.likes, ranges(self.own))
        assert isinstance(found, FastGradients)
        self.fast = found
        return found.look


@pytest.fixture(autouse=True)
def two_threads():
    """Let threads share a look, if it has more than one share."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def data_moved(scene):
    scene.params[0].data = scene.params[0].data.clone()


def data_smaller(scene):
    scene.params[2].data = scene.params[2].data[:4]


def data_strided(scene):
    scene.params[0].data = scene.params[0].data.t().contiguous().t()


def data_retyped(scene):
    scene.params[0].data = scene.params[0].data.view(torch.int32).view(torch.float32).double()


def data_negative(scene):
    scene.params[2].data = torch._neg_view(scene.params[2].data)


def numbers_appear(scene):
    scene.params[3].data = torch.ones(1, 2)


def state_resized(scene):
    scene.state.untyped_storage().resize_(0)


def state_elsewhere(scene):
    scene.state.set_(torch.zeros(5).untyped_storage(), 0, (5,))


def state_transposed(scene):
    scene.state.resize_(1, 5)


def objects_swapped(scene):
    torch.utils.swap_tensors(scene.params[2], nn.Parameter(torch.ones(5)))


def list_longer(scene):
    scene.params.append(nn.Parameter(torch.ones(1)))


def list_reversed(scene):
    scene.params.reverse()


def grad_of_other_dtype(scene):
    scene.params[0].grad_dtype = None
    scene.params[0].grad = torch.ones(2, 3, dtype=torch.float64)


def grad_strided(scene):
    scene.params[0].grad = torch.ones(3, 2).t()


def grad_smaller(scene):
    scene.params[0].grad.data = torch.ones(1, 3)


def grad_without_storage(scene):
    scene.params[0].grad.untyped_storage().resize_(0)


def grad_negative(scene):
    scene.params[0].grad = torch._neg_view(torch.ones(2, 3))


def grad_of_zeros(scene):
    scene.params[0].grad = torch._efficientzerotensor(2, 3)


def grad_is_the_parameter(scene):
    scene.params[0].grad = scene.params[0].detach()


def grad_within_the_state(scene):
    scene.params[2].grad = scene.state


CHANGES = [
    data_moved,
    data_smaller,
    data_strided,
    data_retyped,
    data_negative,
    numbers_appear,
    state_resized,
    state_elsewhere,
    state_transposed,
    objects_swapped,
    list_longer,
    list_reversed,
    grad_of_other_dtype,
    grad_strided,
    grad_smaller,
    grad_without_storage,
    grad_negative,
    grad_of_zeros,
    grad_is_the_parameter,
    grad_within_the_state,
]


@pytest.mark.parametrize("how", ["python", "compiled", "shared"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_is_noticed(how, change):
    scene = Scene()
    look = getattr(scene, how)()
    assert look(scene.params) is not None
    change(scene)
    assert look(scene.params) is None


@pytest.mark.parametrize("how", ["python", "compiled", "shared"])
def test_gradients_are_found_wherever_they_lie(how):
    scene = Scene()
    look = getattr(scene, how)()
    bucket = torch.ones(11)
    scene.params[0].grad = bucket[5:].view(2, 3)
    scene.params[1].grad = None
    scene.params[2].grad = bucket[:5]
    scene.params[3].grad = torch.ones(0, 2)
    begin = bucket.data_ptr()
    assert look(scene.params).tolist() == [begin + 20, 0, begin]


def test_gradients_that_are_missing_are_counted():
    scene = Scene()
    look = scene.python()
    look(scene.params)
    assert scene.gradients.missing == 1
    scene.params[0].grad = None
    look(scene.params)
    assert scene.gradients.missing == 2
    assert len(scene.gradients._held) == 1
    scene.gradients.release()
    assert scene.gradients._held == []


class Fast:
    """A look in place of the compiled one, which writes down what it is asked."""

    def __init__(self, *about: Any) -> None:
        self.asked: list[str] = []
        self.missing = 7

    def look(self, params: list[Tensor]) -> Any:
        self.asked.append("look")
        return torch.zeros(3).numpy()

    def release(self) -> None:
        self.asked.append("release")


@pytest.mark.parametrize("compiled", [False, True])
def test_the_compiled_look_takes_over_when_all_is_known_to_be_as_it_was(compiled, monkeypatch):
    made: list[Fast] = []

    def fast(*about: Any) -> Fast:
        made.append(Fast(*about))
        return made[-1]

    monkeypatch.setattr(gradients, "fast_gradients", fast)
    monkeypatch.setattr(gradients, "is_compiled", lambda: compiled)
    scene = Scene()
    scene.python()
    asked = scene.gradients
    if not compiled:  # which would have to be waited for in the first step
        assert asked.look(scene.params) is not None
        assert not made
    assert asked.look(scene.params) is not None
    (only,) = made
    assert only.asked == []
    assert asked.look(scene.params) is not None
    assert (only.asked, asked.missing) == (["look"], 7)
    # Of a list alone, Python's own, it can be told where its items lie.
    assert asked.look(tuple(scene.params)) is not None
    assert (only.asked, asked.missing, len(made)) == (["look"], 1, 1)
    asked.release()
    assert only.asked == ["look", "release"]


def test_the_compiled_look_does_not_take_over_where_something_has_changed(monkeypatch):
    def never(*about: Any) -> None:
        raise AssertionError("it took over")

    monkeypatch.setattr(gradients, "fast_gradients", never)
    monkeypatch.setattr(gradients, "is_compiled", lambda: True)
    scene = Scene()
    scene.python()
    data_moved(scene)
    assert scene.gradients.look(scene.params) is None


def test_gradients_are_kept_alive_and_let_go_of():
    scene = Scene()
    look = scene.compiled()
    grad: Any = scene.params[0].grad
    before = grad._use_count()
    look(scene.params)
    assert grad._use_count() == before + 1
    scene.params[0].grad = None
    scene.fast.release()
    assert grad._use_count() == before - 1
    assert grad.tolist() == [[1.0] * 3] * 2
    freed = weakref.ref(grad.untyped_storage())
    del grad
    assert freed() is None


def test_the_last_reference_frees_a_gradient():
    scene = Scene()
    look = scene.compiled()
    scene.params[0].grad = torch.ones(2, 3)
    freed = weakref.ref(scene.params[0].grad.untyped_storage())
    look(scene.params)
    scene.params[0].grad = None
    scene.fast.release()
    assert freed() is None
    assert look(scene.params)[0] == 0


def test_the_version_is_where_torch_counts_it():
    layout = torch_layout()
    assert layout is not None
    tensor = torch.ones(3)
    address = version_of(layout, tensor)
    tensor.add_(1).mul_(2)
    assert ctypes.c_uint32.from_address(address).value == tensor._version == 2
    with torch.inference_mode():
        assert version_of(layout, torch.ones(3)) == 0

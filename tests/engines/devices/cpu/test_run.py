"""Functions on several threads at once, and the kernels of a step one after the other."""

from __future__ import annotations

import ctypes
import threading

import pytest
import torch

from schuss.engines.devices.cpu import run as running
from schuss.engines.devices.cpu import threads
from schuss.engines.program.operations import Form
from schuss.engines.program.program import COUNT, GRAD, PARAM, STATE, Place, program
from tests.engines.kernels.interpreted import interpreted

CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int64)


class Called:
    """A function that writes down by which thread it was called, and with what."""

    def __init__(self) -> None:
        self.jobs: list[int] = []
        self.by: set[int] = set()
        self.callback = CALLBACK(self._called)
        self.address = ctypes.cast(self.callback, ctypes.c_void_p).value or 0

    def _called(self, job: int) -> None:
        self.jobs.append(job)
        self.by.add(threading.get_ident())


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_thread_calls_the_function_once(number):
    called = Called()
    threads.run(called.address, 42, number)
    assert called.jobs == [42] * number
    assert threading.get_ident() in called.by


@pytest.mark.parametrize("number", [1, 2, 3])
def test_without_the_threads_of_torch_there_are_others(number, monkeypatch):
    monkeypatch.setattr(threads, "_openmp", lambda: None)
    assert threads.parallel_entry() is None
    called = Called()
    threads.run(called.address, 42, number)
    assert called.jobs == [42] * number
    assert threading.get_ident() in called.by


def test_a_forked_process_has_one_thread(monkeypatch):
    assert threads.available() == torch.get_num_threads()
    monkeypatch.setattr(threads._Process, "forked", True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert threads.available() == 1


INPUTS = (Place(GRAD), Place(PARAM), COUNT)
NORM = Place(STATE + "norm", Form.TENSOR)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["sum", "amax", "amin"])
def test_passes_are_joined_alike_in_python_and_in_compiled_code(name, compiled, monkeypatch):
    monkeypatch.setattr(running, "PATIENCE", 1 if compiled else 100)
    if not compiled:
        monkeypatch.setattr(running, "compiled", _never)
    # v3 = a reduction of the gradient, v4 = param * v3
    made = program(INPUTS, ((name, 0), ("mul", 1, 3)), ((PARAM, 4), (NORM.name, 3)))
    grads = [torch.arange(-3.0, n, dtype=torch.float64) for n in (40_000, 3, 1)]
    grads[1][2] = torch.nan
    params = [torch.full_like(grad, 0.5) for grad in grads]
    norms = [torch.zeros((), dtype=torch.float64) for _ in grads]
    interpreted(made, {INPUTS[0]: grads, INPUTS[1]: params, NORM: norms}, [])
    for grad, param, norm in zip(grads, params, norms, strict=True):
        expected = getattr(grad, name)()
        assert torch.equal(norm, expected) or (norm.isnan() and expected.isnan())
        assert torch.equal(param.nan_to_num(9), (torch.full_like(grad, 0.5) * norm).nan_to_num(9))


def _never() -> None:
    raise AssertionError("it was compiled")


_never.cache_info = lambda: type("None", (), {"currsize": 0})  # type: ignore[attr-defined]

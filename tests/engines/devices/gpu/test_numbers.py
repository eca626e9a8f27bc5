"""Numbers that a graph computes anew are those of Python, for each parameter its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss import Adam, AdamW, RAdam
from schuss.engines import capturing
from schuss.engines.devices.gpu import pinned, run
from schuss.engines.devices.gpu.launch import Launch
from schuss.engines.kernels import staged
from tests.algorithms import TRACED
from tests.covers import EXHAUSTIVE
from tests.engines.devices.gpu.machine_code import compiled
from tests.engines.devices.gpu.numbers import Tripling
from tests.engines.devices.gpu.stubbed import stubbed_gpu
from tests.engines.devices.gpu.test_compiled import MOST_REGISTERS, launched

READ_BY_PYTHON = ("prodigy", "dadaptadam", "dadaptlion", "dadaptsgd")
"""Rules with estimates of the learning rate that Python makes of sums."""

CAPTURED = [name for name in TRACED if name not in READ_BY_PYTHON]
SOME = ("adamw", "radam", "nadam", "ademamix", "asgd", "adamwarmupcosinedecay")


@pytest.mark.parametrize("name", CAPTURED if EXHAUSTIVE else SOME)
def test_numbers_are_those_of_python(name, interpreter):
    interpreter("numbers", "are_those_of_python", name)


def test_a_group_may_have_numbers_of_python_beside_another(interpreter):
    interpreter("numbers", "are_those_of_python", "adam")


def test_torch_computes_what_no_kernel_can(interpreter):
    interpreter("numbers", "are_those_of_python", "tripling", False)


def test_all_groups_share_one_launch(interpreter):
    launches = interpreter("numbers", "last_launches", "adamw")
    assert launches == [("numbers", 3), ("step", 2), ("step", 1)]


def test_a_draw_would_be_repeated(interpreter):
    told = interpreter("numbers", "refusal", "noisy")
    assert "Noisy with capturable=True: the rule draws random numbers" in told


@pytest.mark.parametrize(("name", "arch"), [("nadam", 80), ("radam", 90), ("ademamix", 100)])
def test_the_kernel_of_numbers_compiles(name, arch):
    found = [
        function
        for function in launched(name, torch.float32, capturable=True)
        if function.name == "closing" and "REAL = tl.constexpr(tl.float64)" in function.text
    ]
    assert found
    for function in found:
        made = compiled(function, arch)
        assert not made.spilled
        assert made.registers <= MOST_REGISTERS


@pytest.fixture
def captures(monkeypatch):
    """Let a graph capture what comes after a call of this, and count what is pinned meanwhile."""
    pinnings = []

    def capture():
        monkeypatch.setattr(pinned, "is_captured", lambda _: True)
        monkeypatch.setattr(run, "is_captured", lambda _: True)
        monkeypatch.setattr(capturing, "captured_device", lambda: torch.device("cpu"))
        monkeypatch.setattr(pinned, "_pinned", lambda *_: pinnings.append(1))
        return pinnings

    return capture


def stepped(optimizer_class, steps=3, **options):
    """Return an optimizer after some steps, and its parameters."""
    params = [nn.Parameter(torch.ones(5)) for _ in range(3)]
    optimizer = optimizer_class(params, lr=0.1, capturable=True, **options)
    for param in params:
        param.grad = torch.ones(5)
    for _ in range(steps):
        optimizer.step()
    return optimizer, params


def test_nothing_is_pinned_while_a_graph_is_captured(captures, monkeypatch):
    with stubbed_gpu():
        optimizer, _ = stepped(AdamW)
        kept = len(pinned._captured)
        rooms = []
        of_all = pinned.Pinned.room

        def room(*args, **options):
            rooms.append(of_all(*args, **options))
            return rooms[-1]

        monkeypatch.setattr(pinned.Pinned, "room", room)
        pinnings = captures()
        for _ in range(pinned.SPARES):
            optimizer.step()
        assert not pinnings
        assert len({words.data_ptr() for words in rooms}) == pinned.SPARES  # each graph has its own
        assert list(map(id, rooms)) == [id(memory[0]) for memory in pinned._captured[kept:]]
        with pytest.raises(RuntimeError, match="take two steps before"):
            optimizer.step()


CAPTURABLE: dict[str, Callable[..., Any]] = {
    "sums of tensors": lambda params: schuss.LAMB(params, capturable=True),
    "rows and columns": lambda params: schuss.Adafactor(params, capturable=True),
    "a norm over all": lambda params: AdamW(
        params, capturable=True, transforms=[schuss.ClipByGlobalNorm(1.0), schuss.EMA(0.9)]
    ),
    "numbers by torch": lambda params: Tripling(params, capturable=True),
    "products of matrices": lambda params: schuss.Muon(
        params, lr=torch.tensor(0.1, dtype=torch.float64), capturable=True
    ),
}
RUNS = {"a norm over all": 2, "products of matrices": 2 * 5}
"""Runs of kernels in a step, if not one: that which measures, too, or two stages of a matrix."""


@pytest.mark.parametrize("kind", CAPTURABLE)
@pytest.mark.parametrize("scaled", [False, True])
def test_a_captured_step_pins_nothing_and_keeps_what_it_reads(kind, scaled, captures, monkeypatch):
    monkeypatch.setattr(staged, "CHUNK", 1)
    params = [nn.Parameter(torch.ones(5, 3)) for _ in range(5)]
    with stubbed_gpu():
        optimizer = CAPTURABLE[kind](params)
        for step in range(6):
            for param in params:
                param.grad = torch.ones(5, 3)
            if scaled:
                optimizer.grad_scale, optimizer.found_inf = torch.ones(()), torch.zeros(())
            if step == 5:
                before = len(pinned._captured)
                pinnings = captures()
            optimizer.step()
    assert not pinnings
    kept = pinned._captured[before:]
    assert len(kept) == RUNS.get(kind, 1)
    launches = [launch for memory in kept for launch in memory if isinstance(launch, Launch)]
    assert {"param"} <= {p.name for launch in launches for p in launch.kernel.source.columns}
    assert all(any(x is launch._sent for m in kept for x in m) for launch in launches)


class Gathering(schuss.Optimizer):
    """Keeps a matrix that torch writes, and that no kernel could leave as it is."""

    lr: float = schuss.rate(default=0.1)

    def init_state(self, state: Any, group: Any, param: Tensor) -> None:
        state["factor"] = param.new_zeros(param.shape[0], param.shape[0])

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Any:
        state["factor"].lerp_(grad @ grad.mT, 0.1)
        return state["factor"] @ grad


def test_a_verdict_that_python_has_to_ask_for_is_not_captured(captures):
    params = [nn.Parameter(torch.ones(5, 3)) for _ in range(3)]
    with stubbed_gpu():
        optimizer: Any = Gathering(params, capturable=True)
        optimizer.grad_scale, optimizer.found_inf = torch.ones(()), torch.zeros(())
        for param in params:
            param.grad = torch.ones(5, 3)
        optimizer.step()
        optimizer.step()
        captures()
        with pytest.raises(RuntimeError, match="that a GradScaler may leave out"):
            optimizer.step()


@pytest.mark.parametrize("steps", [0, 3])
def test_a_step_that_has_to_be_planned_is_not_captured(steps, captures):
    with stubbed_gpu():
        optimizer, params = stepped(RAdam, steps)
        _ = optimizer.state[params[0]]
        captures()
        with pytest.raises(RuntimeError, match="a graph is captured in a step that has to be pl"):
            optimizer.step()


def test_numbers_of_python_are_not_captured(captures):
    params = [nn.Parameter(torch.ones(5))]
    params[0].grad = torch.ones(5)
    with stubbed_gpu():
        optimizer = Adam(params)
        optimizer.step()
        optimizer.step()
        captures()
        with pytest.raises(RuntimeError, match="numbers of Python, such as its step count"):
            optimizer.step()

"""A stand-in for a CUDA graph: repeats what a step did on the device, without the step's Python.

It records every operation of torch and every launch of a kernel, with the tensors that went in and
came out, and does them again on the same memory, as a graph does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import schuss
from schuss.engines.devices.gpu.launch import Launch
from schuss.engines.kernels import staged
from tests.algorithms import OF_MATRICES, in_float32
from tests.engines.devices.gpu.interpreted import on_interpreter
from tests.gpu.rules import TRANSFORMS as EACH


class Graph(TorchDispatchMode):
    """Records within a `with`, and repeats with `replay`."""

    def __init__(self) -> None:
        super().__init__()
        self._work: list[Callable[[], None]] = []
        self._is_launching = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        out = func(*args, **given)
        if not self._is_launching and not func.__name__.startswith("empty"):  # memory stays
            self._work.append(partial(_again, func, args, given, _tensors(out)))
        return out

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what is done within."""
        run = Launch.run

        def launched(launch: Launch, *args: Any) -> None:
            self._is_launching = True
            run(launch, *args)
            self._is_launching = False
            self._work.append(partial(run, launch, *args))

        with pytest.MonkeyPatch.context() as patch, self:
            patch.setattr(Launch, "run", launched)
            yield

    def replay(self) -> None:
        """Do it again."""
        with torch.no_grad():
            for work in self._work:
                work()


def _again(func: Any, args: Any, kwargs: Any, outs: list[Tensor]) -> None:
    for old, new in zip(outs, _tensors(func(*args, **kwargs)), strict=True):
        if old.data_ptr() != new.data_ptr():
            old.copy_(new)


def _tensors(out: Any) -> list[Tensor]:
    if isinstance(out, Tensor):
        return [out]
    return [x for x in out if isinstance(x, Tensor)] if isinstance(out, (list, tuple)) else []


SHAPES = ((5, 3), (7,), (), (40,))
STACKED = ((5, 3), (3, 4), (5, 3), (5, 3))
"""Matrices, of which three of one shape are in stacks: two in one, and one alone."""

WARM, STEPS = 4, 12

TRANSFORMS: dict[str, Callable[[], list[schuss.Transform]]] = {
    "plain": list,
    "clip and average": lambda: [schuss.ClipByGlobalNorm(0.5), schuss.EMA(0.9)],
    "look ahead": lambda: [schuss.Lookahead(lookahead_k=3)],
    "amplify": lambda: [schuss.transforms.Grokfast()],  # which notes in Python that it has begun
    "low rank": lambda: [schuss.GaLore(2)],  # which finds a basis anew after so many steps
    **{name: lambda of=of: [of()] for name, of in EACH.items()},  # type: ignore[misc]
}


def trained(name: str, transforms: str, *, captured: bool, scaled: bool) -> list[Tensor]:
    """Return parameters after steps, of which the later ones are repetitions of a captured one."""
    generator = torch.Generator().manual_seed(0)
    shapes = STACKED if name in OF_MATRICES else SHAPES
    params = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for param in params:
        param.grad = torch.zeros_like(param)
    lr = torch.tensor(0.1, dtype=torch.float64)
    options: dict[str, Any] = {"capturable": True} if captured else {"foreach": False}
    if transforms != "plain":
        options["transforms"] = TRANSFORMS[transforms]()
    options |= in_float32(name)
    optimizer: Any = schuss.create_optimizer(name, params, lr=lr if captured else 0.1, **options)
    scale, found_inf = torch.tensor(1.0), torch.tensor(0.0)
    if scaled:
        optimizer.grad_scale, optimizer.found_inf = scale, found_inf
    graph = Graph()
    for step in range(STEPS):
        scale.fill_(2.0 + step)
        found_inf.fill_(float(scaled and step in (0, 2, 6, 7)))
        if captured:
            lr.fill_(0.1 / (1 + step))
        else:
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
        for param in params:
            param.grad.copy_(torch.randn(param.shape, generator=generator))
        if not captured or step < WARM:
            optimizer.step()
            continue
        if step == WARM:
            before = [param.detach().clone() for param in params]
            state = [_copied(optimizer.state[param]) for param in params]
            optimizer.step()  # which plans anew, because the state was read
            optimizer.step()
            with torch.no_grad(), graph.recording():
                optimizer.step()
            with torch.no_grad():
                for param, old, was in zip(params, before, state, strict=True):
                    param.copy_(old)
                    for key, value in was.items():
                        optimizer.state[param][key].copy_(value)
        graph.replay()
    return [param.detach() for param in params]


def _copied(state: dict[str, Any]) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in state.items() if isinstance(value, Tensor)}


def repeats(name: str, transforms: str = "plain", scaled: bool = False) -> None:
    """Compare repetitions of a captured step with steps on the loop.

    Raises:
        AssertionError: They parted.
    """
    expected = trained(name, transforms, captured=False, scaled=scaled)
    with on_interpreter(block=16), pytest.MonkeyPatch.context() as patch:
        patch.setattr(staged, "CHUNK", 2 * 5 * 3)
        found = trained(name, transforms, captured=True, scaled=scaled)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


KNOWN = ("the rule reads a number in Python", "the rule draws random numbers", "counts there in Py")
"""Reasons for which a rule or a transform is not captured."""


def repeats_or_refuses(name: str, transforms: str = "plain") -> bool:
    """Compare repetitions of a captured step with the loop, and tell whether there are any.

    Raises:
        AssertionError: They parted, or it refuses without a reason that is known.
    """
    try:
        repeats(name, transforms)
    except (RuntimeError, ValueError) as error:
        assert any(f"{reason}" in str(error) for reason in KNOWN), error  # noqa: PT017
        assert "capturable=True" in str(error), error  # noqa: PT017
        return False
    return True


class Halving(schuss.Optimizer):
    """Takes half a step from the third on, which it decides in Python."""

    lr: float = schuss.rate(default=0.1)

    def init_state(self, state: Any, group: Any, param: Tensor) -> None:
        state["step"] = 0

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Tensor:
        return grad / 2 if state["step"] > 2 else grad


class Decomposing(Halving):
    """Takes steps in orthogonal directions, by a decomposition."""

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Any:
        return torch.linalg.qr(grad)[0]


class Multiplying(Halving):
    """Multiplies matrices and, in one function, their product by the count of steps."""

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Any:
        return torch.addmm(grad, grad, grad, alpha=state["step"])


class Tripling(Halving):
    """Multiplies matrices, and makes a tensor of its own, with which no kernel computes."""

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Any:
        of_three = torch.full((), 3.0, dtype=torch.float64)
        return grad @ grad * (of_three ** (1 / state["step"]))


STRANGERS = {cls.__name__: cls for cls in (Halving, Decomposing, Multiplying, Tripling)}


def refusal(name: str) -> str:
    """Return why a rule is refused whose steps no graph can repeat.

    Raises:
        AssertionError: It was not refused, or has changed something.
    """
    weight = nn.Parameter(torch.ones(3, 3))
    weight.grad = torch.ones(3, 3)
    with on_interpreter(block=16), pytest.raises(RuntimeError) as caught:
        STRANGERS[name]([weight], capturable=True).step()
    assert weight.eq(1).all()
    return str(caught.value)

"""Optimizers of matrices with what users have: odd shapes, layouts, precisions, groups, changes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor, nn

import schuss
from tests.algorithms import FOR_STACKS, OF_MATRICES
from tests.conformance.test_of_matrices import create
from tests.conformance.trajectories import ON
from tests.covers import EXHAUSTIVE
from tests.engines.kernels.interpreted import kernels_interpreted
from tests.engines.stacked.only import only_stacks

F64 = torch.float64
Make: TypeAlias = Callable[..., schuss.Optimizer]
"""Creates an optimizer from parameters or groups, and options."""


class Drawn:
    """Draws the numbers of parameters and gradients, the same ones for each engine."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)

    def numbers(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator, dtype=F64)

    def params(self, *shapes: tuple[int, ...]) -> list[nn.Parameter]:
        return [nn.Parameter(self.numbers(*shape)) for shape in shapes]

    def grads(self, params: list[nn.Parameter]) -> None:
        for param in params:
            param.grad = self.numbers(*param.shape).to(param.dtype)


def stepped(make: Make, draw: Drawn, params: Any, steps: int = 4, **options: Any) -> Any:
    optimizer = make(params, **options)
    for _ in range(steps):
        draw.grads(params)
        optimizer.step()
    return params, optimizer


def odd_shapes(make: Make, draw: Drawn) -> Any:
    shapes = [(1, 1), (1, 5), (5, 1), (1, 1), (0, 3), (3, 0), (2, 2)]
    return stepped(make, draw, draw.params(*shapes))


def many_shapes(make: Make, draw: Drawn) -> Any:
    return stepped(make, draw, draw.params(*itertools.product((1, 2, 4), (1, 3, 4))), 3)


def groups_with_gradients_missing(make: Make, draw: Drawn) -> Any:
    params = draw.params(*[(3, 3)] * 6)
    optimizer = make(
        [{"params": params[:3]}, {"params": params[3:], "lr": 0.1, "weight_decay": 0.5}]
    )
    for step in range(5):
        draw.grads(params)
        params[step % 4].grad = None
        optimizer.step()
    return params, optimizer


def precisions(make: Make, draw: Drawn) -> Any:
    dtypes = (torch.float32, F64, torch.bfloat16) * 2
    params = [nn.Parameter(draw.numbers(4, 4).to(dtype)) for dtype in dtypes]
    return stepped(make, draw, params)


def layouts(make: Make, draw: Drawn) -> Any:
    values = draw.numbers(4, 4), draw.numbers(4, 4).T, draw.numbers(4, 8)[:, ::2]
    params = [nn.Parameter(value) for value in values]
    optimizer = make(params)
    for _ in range(4):
        for param in params:
            param.grad = draw.numbers(8, 4)[::2].T
        optimizer.step()
    return params, optimizer


def convolutions(make: Make, draw: Drawn) -> Any:
    whole = [draw.numbers(4, 2, 2, 1) for _ in range(3)]
    params = [nn.Parameter(x.to(memory_format=torch.channels_last)) for x in whole]
    optimizer = make([*params, *(others := draw.params((4, 4, 1, 1)))], matrices="flatten")
    for step in range(4):
        draw.grads([*params, *others])
        grad = params[step % 3].grad
        assert grad is not None
        params[step % 3].grad = grad.to(memory_format=torch.channels_last)
        optimizer.step()
    return [*params, *others], optimizer


def several_matrices(make: Make, draw: Drawn) -> Any:
    params = draw.params((3, 4, 4), (3, 4, 4))
    return stepped(make, draw, params, matrices="batch")


def parts_of_rows(make: Make, draw: Drawn) -> Any:
    params = draw.params((12, 4), (12, 4))
    return stepped(make, draw, params, matrices=schuss.matrices.Split(4, 4, 4))


def heads(make: Make, draw: Drawn) -> Any:
    return stepped(make, draw, draw.params((12, 4)), matrices=schuss.matrices.Heads(3))


def parameters_that_come_later(make: Make, draw: Drawn) -> Any:
    params = draw.params(*[(4, 4)] * 5)
    optimizer = make(params[:2])
    for step in range(5):
        if step == 2:
            optimizer.add_param_group({"params": params[2:4]})
        if step == 3:
            optimizer.param_groups[0]["params"].append(params[4])
        draw.grads(params)
        optimizer.step()
    return params, optimizer


CHANGED: dict[str, Callable[[int], Any]] = {
    "fraction": lambda step: (0.25, 0.5, 1.0)[step % 3],  # so the chosen rows are more or fewer
    "ns_steps": lambda step: 3 + step % 3,
    "nesterov": lambda step: step % 2 == 0,
    "precondition_frequency": lambda step: 1 + step % 3,
    "lr": lambda step: 0.1 / (1 + step),
}


def other_hyperparameters(make: Make, draw: Drawn) -> Any:
    params = draw.params(*[(4, 4)] * 3)
    optimizer = make(params)
    (group,) = optimizer.param_groups
    for step in range(7):
        group |= {key: value(step) for key, value in CHANGED.items() if key in group}
        draw.grads(params)
        optimizer.step()
    return params, optimizer


def other_tensors(make: Make, draw: Drawn) -> Any:
    params = draw.params(*[(4, 4)] * 3)
    optimizer = make(params)
    for step in range(6):
        draw.grads(params)
        if step == 3:
            for key, value in list(optimizer.state[params[1]].items()):
                if isinstance(value, Tensor) and value.dim():
                    optimizer.state[params[1]][key] = value * 1.5
        if step == 4:
            params[0].data = params[0].data.T.contiguous().T * 2
        optimizer.step()
    return params, optimizer


def one_memory(make: Make, draw: Drawn) -> Any:
    """Let parameters and gradients be views of one tensor each, as DDP and others make them."""
    weights, grads = draw.numbers(48), torch.zeros(48, dtype=F64)
    params = [nn.Parameter(part.view(4, 4)) for part in weights.split(16)]
    for param, grad in zip(params, grads.split(16), strict=True):
        param.grad = grad.view(4, 4)
    optimizer = make(params)
    for _ in range(4):
        grads.copy_(draw.numbers(48))
        optimizer.step()
    return params, optimizer


SCENES = [
    odd_shapes,
    many_shapes,
    groups_with_gradients_missing,
    precisions,
    layouts,
    convolutions,
    several_matrices,
    parts_of_rows,
    heads,
    parameters_that_come_later,
    other_hyperparameters,
    other_tensors,
    one_memory,
]
ENGINES = ("fused", "foreach", "stacked")
CLOSE = {F64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 3e-2}


def cases() -> Iterator[tuple[Any, str, str]]:
    """Yield scenes on engines, each with another optimizer, or with all of them."""
    for turn, (scene, engine) in enumerate(itertools.product(SCENES, ENGINES)):
        names = FOR_STACKS if engine == "stacked" else OF_MATRICES
        # One further for each scene, so that no optimizer meets the same engine each time.
        chosen = names if EXHAUSTIVE else [names[(turn + turn // len(ENGINES)) % len(names)]]
        yield from ((scene, engine, name) for name in chosen)


def named(value: Any) -> str:
    return str(getattr(value, "__name__", value))


@pytest.mark.parametrize(("scene", "engine", "name"), list(cases()), ids=named)
def test_an_engine_takes_the_path_of_the_loop(scene, engine, name):
    def making(on):
        return lambda params, **options: create(name, params, **options, **ON.get(on, {}))

    around = {"fused": kernels_interpreted, "stacked": lambda: only_stacks(fewest=1)}
    with around.get(engine, nullcontext)():
        params, optimizer = scene(making(engine), Drawn())
    twins, loop = scene(making("loop"), Drawn())
    for param, twin in zip(params, twins, strict=True):
        close = {"rtol": CLOSE[twin.dtype], "atol": CLOSE[twin.dtype]}
        torch.testing.assert_close(param, twin, **close)
        assert optimizer.state[param].keys() == loop.state[twin].keys()
        for key, value in loop.state[twin].items():
            torch.testing.assert_close(optimizer.state[param][key], value, **close)

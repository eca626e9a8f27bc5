"""The shapes of the models that steps are timed with."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from torch import nn

from schuss.cli.bench.workloads import WORKLOADS, Shape
from tests.gpu.machine import Machine


def _llama() -> list[Shape]:
    """Return the shapes of a Llama of 1.1 billion numbers: TinyLlama, Zhang et al., 2024."""
    width, keys, inner = 2048, 256, 5632
    layer: list[Shape] = [(width, width), (keys, width), (keys, width), (width, width)]
    layer += [(inner, width), (inner, width), (width, inner), (width,), (width,)]
    return [(32_000, width), (32_000, width), (width,), *(s for _ in range(22) for s in layer)]


def _small() -> list[Shape]:
    draw = random.Random(0)
    return [(draw.randint(64, 512),) for _ in range(3000)]


_MODELS: dict[str, Callable[[], Sequence[Shape]]] = {
    "GPT-2 small": lambda: WORKLOADS["gpt2"].shapes,
    "Llama 1.1B": _llama,
    "one of 2^28": lambda: [(1 << 28,)],
    "one of 2^26": lambda: [(1 << 26,)],
    "3,000 small": _small,
    "MNIST CNN": lambda: WORKLOADS["mnist"].shapes,
}

REHEARSED: Sequence[Shape] = ((65, 3), (130,))


def model(name: str, dtype: torch.dtype, machine: Machine) -> list[nn.Parameter]:
    """Return the parameters of a model, with gradients; of a tiny one in a rehearsal."""
    shapes = REHEARSED if machine.rehearses else _MODELS[name]()
    params = []
    for shape in shapes:
        param = nn.Parameter(torch.randn(shape, dtype=dtype, device=machine.device))
        param.grad = torch.randn(shape, dtype=dtype, device=machine.device)
        params.append(param)
    return params

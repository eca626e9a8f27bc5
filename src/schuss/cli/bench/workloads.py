"""The workloads of `schuss bench step`: shapes of parameters, without the models."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import nn

Shape: TypeAlias = tuple[int, ...]

_SEED: Final = 0
_DEVIATION: Final = 0.02  # that GPT-2 begins with; no more than a usual size


@dataclass(frozen=True)
class Workload:
    """The parameters that a step has to move.

    Attributes:
        name: Its name on the command line.
        title: Its name in prose.
        shapes: The shape of each parameter.
    """

    name: str
    title: str
    shapes: tuple[Shape, ...]

    @property
    def numbers(self) -> int:
        """How many numbers the parameters hold together."""
        return sum(map(math.prod, self.shapes))


def _convnet() -> Iterator[Shape]:
    """Yield the shapes of `ConvNet`, the network of `schuss mnist` and of labml's experiment."""
    yield from [(20, 1, 5, 5), (20,), (50, 20, 5, 5), (50,)]
    yield from [(500, 800), (500,), (10, 500), (10,)]


def _resnet50() -> Iterator[Shape]:
    """Yield the shapes of ResNet-50: He et al., 2015, Table 1, as torchvision builds it."""
    yield from [(64, 3, 7, 7), (64,), (64,)]  # every convolution is followed by a normalization
    inputs = 64
    for width, blocks in zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True):
        for block in range(blocks):
            yield from [(width, inputs, 1, 1), (width,), (width,)]
            yield from [(width, width, 3, 3), (width,), (width,)]
            yield from [(4 * width, width, 1, 1), (4 * width,), (4 * width,)]
            if block == 0:  # the shortcut has to change the width, too
                yield from [(4 * width, inputs, 1, 1), (4 * width,), (4 * width,)]
            inputs = 4 * width
    yield from [(1000, inputs), (1000,)]


def _gpt2() -> Iterator[Shape]:
    """Yield the shapes of GPT-2 small; its output layer shares the weights of the embedding."""
    width = 768
    yield from [(50257, width), (1024, width)]
    for _ in range(12):
        yield from [(width,), (width,)]
        yield from [(width, 3 * width), (3 * width,), (width, width), (width,)]
        yield from [(width,), (width,)]
        yield from [(width, 4 * width), (4 * width,), (4 * width, width), (width,)]
    yield from [(width,), (width,)]


def _tiny() -> Iterator[Shape]:
    draw = random.Random(_SEED)
    yield from ((draw.randint(64, 512),) for _ in range(2000))


WORKLOADS: Final[Mapping[str, Workload]] = {
    workload.name: workload
    for workload in (
        Workload("mnist", "MNIST CNN", tuple(_convnet())),
        Workload("resnet50", "ResNet-50", tuple(_resnet50())),
        Workload("gpt2", "GPT-2 small", tuple(_gpt2())),
        Workload("large", "one tensor of 64 Mi", ((2**26,),)),
        Workload("tiny", "2000 tiny tensors", tuple(_tiny())),
    )
}
"""The workloads by name: the values of `--workload`."""


def parameters(workload: Workload, device: str = "cpu") -> list[nn.Parameter]:
    """Return parameters of these shapes with gradients, every time the same random numbers."""
    draw = torch.Generator().manual_seed(_SEED)
    params = []
    for shape in workload.shapes:
        weights, grads = (
            torch.empty(shape).normal_(0, _DEVIATION, generator=draw).to(device) for _ in range(2)
        )
        param = nn.Parameter(weights)
        param.grad = grads
        params.append(param)
    return params

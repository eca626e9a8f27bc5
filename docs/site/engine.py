"""An optimizer asked by itself: its program and kernel, the bytes of its state and of a step."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from schuss import (
    APOLLO,
    SGD,
    Accumulate,
    CohortExplanation,
    GaLore,
    Optimizer,
    Transform,
    create_optimizer,
    list_optimizers,
)
from schuss.engines.devices.cpu.device import OnCPU
from schuss.engines.devices.device import LOADERS

MATRIX = (256, 128)
"""The shape of the parameter whose state is measured: that of a layer, wider than high."""

_NEEDED: dict[type[Transform], dict[str, Any]] = {
    Accumulate: {"accumulate_every": 2},
    APOLLO: {"apollo_rank": 32},
    GaLore: {"galore_rank": 32},
}
"""The arguments that have no default, or none that is small enough for a matrix of this shape."""


@dataclass(frozen=True)
class Examined:
    """The answers.

    Attributes:
        state: Bytes of state for each number of a float32 matrix, by key.
        cohorts: The kinds of parameters, and how each is stepped; for a matrix and a vector,
            or a matrix alone if the optimizer takes no vectors.
    """

    state: dict[str, float]
    cohorts: tuple[CohortExplanation, ...]

    @property
    def state_bytes(self) -> float:
        """Bytes of state for each number."""
        return sum(self.state.values())


def examined(name: str) -> Examined:
    """Return what an optimizer says and does with its defaults."""
    (info,) = list_optimizers(name)
    matrices_only = info.cls.takes_matrices_only
    optimizer = create_optimizer(name, _parameters(matrices_only=matrices_only))
    with warnings.catch_warnings(), _printed_only():
        warnings.simplefilter("error")
        explanation = optimizer.explain()
    alone = create_optimizer(name, _parameters(matrices_only=matrices_only), foreach=False)
    return Examined(_state_of(alone), explanation.cohorts)


def examined_around(cls: type[Transform]) -> Examined:
    """Return what a transform adds to a step of SGD, with its defaults."""
    transform = cls(**_NEEDED.get(cls, {}))
    with _printed_only():
        explanation = SGD(_parameters(), lr=0.1, transforms=[transform]).explain()
    alone = SGD(_parameters(), lr=0.1, transforms=[transform], foreach=False)
    return Examined(_state_of(alone), explanation.cohorts)


class _Printer(OnCPU):
    """A processor whose kernels are printed, which is all that a page needs, and not compiled."""

    def compiled(self, kind: str, text: str, names: Sequence[str]) -> tuple[None, list[int]]:
        """Return no file and no addresses: nobody calls the functions."""
        return None, [0] * len(names)


@contextmanager
def _printed_only() -> Iterator[None]:
    """Print kernels and compile none, which takes half a second for each."""
    printer, load = _Printer(), LOADERS["cpu"]
    LOADERS["cpu"] = lambda: printer
    try:
        yield
    finally:
        LOADERS["cpu"] = load


def _parameters(*, matrices_only: bool = False) -> list[torch.nn.Parameter]:
    torch.manual_seed(0)
    shapes = (MATRIX,) if matrices_only else (MATRIX, MATRIX[:1])
    return [torch.nn.Parameter(torch.randn(*shape)) for shape in shapes]


def _state_of(optimizer: Optimizer) -> dict[str, float]:
    """Return the bytes for each number that the state of the matrix has after a step."""
    matrix = optimizer.param_groups[0]["params"][0]
    for param in optimizer.param_groups[0]["params"]:
        param.grad = torch.randn_like(param)

    def closure() -> float:
        return 0.0

    optimizer.step(closure)
    return {
        key: value.numel() * value.element_size() / matrix.numel()
        for key, value in optimizer.state[matrix].items()
        if isinstance(value, torch.Tensor) and value.numel() > 1
    }


def kind_of(cohort: CohortExplanation) -> str:
    """Return which of the parameters a cohort holds."""
    numbers = {MATRIX[0] * MATRIX[1]: "a matrix", MATRIX[0]: "a vector"}
    return numbers.get(cohort.numbers, "matrices and vectors")


def without_paths(text: str) -> str:
    """Return text of an explanation without the folder in which this machine keeps kernels."""
    return re.sub(r"\S*/kernels/", "~/.cache/schuss/kernels/", text)

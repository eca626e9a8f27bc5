"""One optimizer with parameters of all sizes, on guarded memory and on the loop beside."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import schuss
from schuss.engines.devices.tables.chunks import CHUNK
from schuss.engines.devices.tables.tiles import TILE, WIDTH
from schuss.storage.codecs import Encoded, policy
from tests.algorithms import TRACED
from tests.conformance.trajectories import TOLERANCE
from tests.covers import EXHAUSTIVE
from tests.engines.child import report
from tests.engines.memory.guarded import Memory, engines_in

STEPS = 7
"""The third step is the first that remembers, the fourth finds other state, the fifth other
parameters, the last two nothing new but gradients."""

Shapes = Sequence[Sequence[int]]

SIZES = range(201) if EXHAUSTIVE else {*range(36), *range(36, 201, 9)}
"""All small sizes; beyond these, `make test` takes each rest that vectors of up to 16 leave."""

GROUPS: dict[str, Shapes] = {
    "scalar first": [(), (CHUNK + 1,), (0,), (1,), (1, 1), (5, 3)],
    "many sizes, the largest first": [
        (2 * CHUNK + 17,),
        (CHUNK,),
        (CHUNK - 1,),
        *((size,) for size in sorted(SIZES, reverse=True)),
        (),
    ],
    "matrices": [
        (1, 1),
        (1, 7),
        (7, 1),
        (3, WIDTH + 1),
        (TILE // WIDTH + 3, WIDTH + 1),
        (WIDTH + 1, 2),
        *((rows, 13 - rows) for rows in range(1, 13)),
        (0, 3),
    ],
    "more dimensions": [(2, 3, 4, 4), (3, 1, 5), (1, 2, 1, 1), (4, 3, 1, 1)],
}


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in TRACED}
"""Optimizers with options: their names in the registry, and the options."""

WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    "muon": ("muon", {"matrices": "flatten"}),
    "dion2": ("dion2", {"matrices": "flatten"}),
}
"""Those that work on whole matrices, and take nothing else."""

VARIANTS |= {
    "sgd, momentum": ("sgd", {"momentum": 0.9, "nesterov": True}),
    "adam, amsgrad": ("adam", {"amsgrad": True}),
    "adammini, tensors": ("adammini", {"blocks": "tensor"}),
    "adafactor, momentum": ("adafactor", {"beta1": 0.9}),
    "rmsprop, centered": ("rmsprop", {"centered": True, "momentum": 0.9}),
    "adamw, master weights": ("adamw", {"master_weights": True}),
    "adamw, 24 bits": ("adamw", {"master_weights": 24}),
    "adamw, kahan": ("adamw", {"rounding": "kahan"}),
    "adamw, stochastic": ("adamw", {"rounding": "stochastic"}),
    "adamw, 8 bits": ("adamw", {"state_storage": "8bit"}),
    "adamw, 4 bits": ("adamw", {"state_storage": "4bit"}),
    "adafactor, 8 bits": ("adafactor", {"beta1": 0.9, "state_storage": "8bit"}),
    "lamb, bf16 state": ("lamb", {"state_storage": "bf16"}),
    "adamw, EMA, clipping": (
        "adamw",
        {"transforms": (schuss.ClipByGlobalNorm(1.0), schuss.EMA(0.9))},
    ),
    **WHOLE,
}


class Case(NamedTuple):
    """What to try.

    Attributes:
        name: A name in `VARIANTS`.
        dtype: Of the parameters.
        engine: `loop`, `foreach` or `fused`.
        at_end: Whether tensors end at a page that must not be touched, or begin after one.
    """

    name: str
    dtype: torch.dtype
    engine: str
    at_end: bool

    def __str__(self) -> str:
        """Name it as a test."""
        where = "end" if self.at_end else "start"
        return f"{self.name}-{str(self.dtype).removeprefix('torch.')}-{self.engine}-{where}"


ON = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def swept(case: Case) -> None:
    """Take steps on guarded memory, and the same on ordinary memory and the loop.

    Raises:
        AssertionError: The numbers differ, or something beside a tensor was written.
    """
    for _, name, _ in pkgutil.walk_packages(schuss.__path__, "schuss."):
        if ".cli" not in name and not name.endswith("_compiled"):
            importlib.import_module(name)
    policy.SMALLEST = 2  # type: ignore[misc]  # else no small tensor is encoded
    memory = Memory(at_end=case.at_end)
    shapes = {k: v for k, v in GROUPS.items() if case.name != "sm3" or k != "more dimensions"}
    if case.name in WHOLE:
        shapes = {k: [each for each in v if len(each) > 1] for k, v in shapes.items()}
    with engines_in(memory):
        pair = _Pair(case, memory, list(shapes.values()))
        for step in range(STEPS):
            report(f"{case}, step {step}")
            pair.step()
            memory.check()
            _compare(case, step, pair)
            if step == 2:
                pair.replace_state()
            if step == 3:
                pair.replace_parameters()


class _Pair:
    """The same optimizer twice: on guarded memory, and on the loop."""

    def __init__(self, case: Case, memory: Memory, groups: Sequence[Shapes]) -> None:
        self._memory = memory
        self._generator = torch.Generator().manual_seed(0)
        self._dtype = case.dtype
        starts = [[self._random(shape) for shape in shapes] for shapes in groups]
        self.ours = [[nn.Parameter(memory.holding(x)) for x in group] for group in starts]
        self.theirs = [[nn.Parameter(x) for x in group] for group in starts]
        self._optimizer = _created(case.name, self.ours, ON[case.engine])
        self._twin = _created(case.name, self.theirs, ON["loop"])

    def params(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        """Return each parameter, and its twin."""
        for ours, theirs in zip(self.ours, self.theirs, strict=True):
            yield from zip(ours, theirs, strict=True)

    def step(self) -> None:
        """Give every parameter a gradient in new memory, and step."""
        for param, twin in self.params():
            twin.grad = self._random(param.shape)
            if param.grad is not None:
                self._memory.take_back(param.grad)
            param.grad = self._memory.holding(twin.grad)
        self._optimizer.step()
        self._twin.step()

    def replace_state(self) -> None:
        """Put all tensors of the state elsewhere, and let nobody touch where they were."""
        for state in self._optimizer.state.values():
            for key, value in state.items():
                if isinstance(value, Encoded):
                    codes, scales = map(self._memory.holding, (value.codes, value.scales))
                    state[key] = Encoded(value.codec, codes, scales, value.shape, value.dtype)
                elif isinstance(value, Tensor):
                    state[key] = self._memory.holding(value)
                    self._memory.take_back(value)

    def replace_parameters(self) -> None:
        """Put all parameters elsewhere, and let nobody touch where they were."""
        for param, _ in self.params():
            old = param.data
            param.data = self._memory.holding(old)
            self._memory.take_back(old)

    def _random(self, shape: Sequence[int]) -> Tensor:
        double = torch.complex128 if self._dtype.is_complex else torch.float64
        return torch.randn(shape, generator=self._generator, dtype=double).to(self._dtype)


BETWEEN_CODES = 1e-4
"""The tolerance for a number whose state lies halfway between two codes, and may get either.
torch's roots on a CPU are off by a last place at times, those of kernels never."""


def _created(
    name: str, groups: Sequence[Sequence[nn.Parameter]], options: dict[str, Any]
) -> schuss.Optimizer:
    name, own = VARIANTS[name]
    params = [{"params": group} for group in groups]
    return schuss.create_optimizer(name, params, lr=3e-2, **own, **options)


def _compare(case: Case, step: int, pair: _Pair) -> None:
    for ours, theirs in pair.params():
        found, right = ours.detach(), theirs.detach()
        double = torch.complex128 if right.is_complex() else torch.float64
        found, right = found.to(double), right.to(double)
        # Parameters start with a norm of about the root of their size, and may cross zero.
        off = float((found - right).norm() / (right.norm() + right.numel() ** 0.5 + 1e-300))
        of_roots = VARIANTS[case.name][1].get("state_storage") == "8bit"
        if not off <= max(TOLERANCE[case.dtype], BETWEEN_CODES if of_roots else 0.0):
            raise AssertionError(f"{case}: {tuple(ours.shape)} is off by {off} after step {step}")

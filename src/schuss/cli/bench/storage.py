"""AdamW with state and weights in fewer bytes, beside torch's fused AdamW in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median, quantiles
from typing import Final, NamedTuple

import torch
from torch import nn

from schuss.cli.bench.contenders import NotAvailableError
from schuss.cli.bench.heats import Heat, Settings, Step, Watcher, run_heat
from schuss.cli.bench.printed import launch_timed
from schuss.cli.bench.progress import Progress
from schuss.cli.bench.workloads import WORKLOADS, Workload
from schuss.optimizers import AdamW

STORAGE: Final = "storage"

BASE: Final = "torch, float32"
"""The contender that the others are compared with."""

PLACES: Final = ("gpt2", "large")
"""The workloads."""

_HEAD: Final = (
    *("AdamW with", "bytes of state", "bytes of a step", "ms", "torch's ms"),
    *("times as fast [quartiles]", "by the bytes", "wanted"),
)
_BLOCK: Final = 0.2  # seconds
_SPREAD: Final = 1 << 20  # numbers that are drawn; larger tensors repeat them

Made = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class Contender(NamedTuple):
    """An optimizer, and how its weights are kept.

    Attributes:
        made: Makes it.
        dtype: The dtype of weights and gradients.
        state: How many bytes of state it has for each number, as computed from its codecs.
        goal: The ratio to `BASE` that it shall reach at least, or None.
    """

    made: Made
    dtype: torch.dtype = torch.float32
    state: float = 8.0
    goal: float | None = None

    @property
    def moved(self) -> float:
        """The bytes of memory that a step reads and writes for each number."""
        return 3 * self.dtype.itemsize + 2 * self.state


def _ours(**options: object) -> Made:
    return lambda params: AdamW(params, fused=True, **options)  # type: ignore[arg-type]


def _of_package(name: str) -> Made:
    """Return the 8-bit AdamW of another package, which need not be there."""

    def made(params: list[nn.Parameter]) -> torch.optim.Optimizer:
        try:
            module = import_module(f"{name}.optim")
        except ImportError as error:
            raise NotAvailableError(f"{name} is not installed") from error
        optimizer: torch.optim.Optimizer = module.AdamW8bit(params)
        return optimizer

    return made


_BF16: Final = torch.bfloat16
_DYNAMIC: Final = {"exp_avg": "dynamic8", "exp_avg_sq": "udynamic8"}

CONTENDERS: Final[dict[str, Contender]] = {
    "float32": Contender(_ours()),
    "bf16 state": Contender(_ours(state_storage="bf16"), state=4, goal=1.25),
    "8-bit state": Contender(_ours(state_storage="8bit"), state=2.125, goal=1.1),
    "4-bit state": Contender(_ours(state_storage="4bit"), state=1.0625, goal=1.0),
    "dynamic 8-bit state": Contender(_ours(state_storage=_DYNAMIC), state=2.03125, goal=1 / 1.3),
    "all bf16": Contender(_ours(), _BF16, 4, goal=1.5),
    "bf16, exact master": Contender(_ours(master_weights=True), _BF16, 10, goal=1.1),
    "bf16, 24-bit master, 8-bit state": Contender(
        _ours(master_weights=24, state_storage="8bit"), _BF16, 3.125, goal=1.05
    ),
    "bf16, stochastic rounding": Contender(_ours(rounding="stochastic"), _BF16, 8),
    "bf16, Kahan": Contender(_ours(rounding="kahan"), _BF16, 10),
    "bitsandbytes, 8-bit state": Contender(_of_package("bitsandbytes"), state=2.03125),
    "torchao, 8-bit state": Contender(_of_package("torchao"), state=2.03125),
}
"""The contenders by name."""

PACKAGES: Final = tuple(name for name in CONTENDERS if name.startswith(("bitsandbytes", "torchao")))
"""The contenders that are packages of others."""

OURS_8_BIT: Final = ("8-bit state", "dynamic 8-bit state")
"""The contenders that packages of others are compared with."""


def measure_storage(workload: Workload, settings: Settings, watcher: Watcher) -> dict[str, Heat]:
    """Time each contender in turns with `BASE`, two at a time so that the memory suffices."""
    return {
        name: run_heat([BASE, name], partial(_step, workload), settings, watcher)
        for name in CONTENDERS
    }


def _step(workload: Workload, name: str) -> Step:
    """Return the step of a contender."""
    contender = CONTENDERS.get(name) or Contender(_torch)
    params = []
    for shape in workload.shapes:
        param = nn.Parameter(_drawn(shape, 0.05).to(contender.dtype))
        param.grad = _drawn(shape, 0.01).to(contender.dtype)
        params.append(param)
    return contender.made(params).step


def _torch(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(params, fused=True)


def _drawn(shape: tuple[int, ...], deviation: float) -> torch.Tensor:
    """Return random numbers; those of a large tensor repeat, which takes less time to draw."""
    generator = torch.Generator().manual_seed(0)
    count = torch.Size(shape).numel()
    few = torch.randn(min(count, _SPREAD), generator=generator) * deviation
    return few.repeat(-(-count // _SPREAD))[:count].view(shape)


def lines(workload: Workload, heats: dict[str, Heat]) -> list[str]:
    """Return what came of a workload, as lines of Markdown."""
    found = [
        f"### {workload.title}, {workload.numbers / 1e6:.0f} million numbers",
        "",
        f"| {' | '.join(_HEAD)} |",
        f"| --- |{' --: |' * (len(_HEAD) - 1)}",
    ]
    for name, heat in heats.items():
        contender = CONTENDERS[name]
        begin = f"| {name} | {contender.state:g} | {contender.moved:g} |"
        by_bytes = f"{Contender(_torch).moved / contender.moved:.2f}"
        wanted = f"{contender.goal:.2f}" if contender.goal else ""
        if name in heat.left_out:
            found.append(f"{begin} | | {heat.left_out[name]} | {by_bytes} | {wanted} |")
            continue
        base, own = heat.runners[BASE].rounds_ms, heat.runners[name].rounds_ms
        low, middle, high = quantiles([x / y for x, y in zip(base, own, strict=True)], n=4)
        found.append(
            f"{begin} {median(own):.1f} | {median(base):.1f} | "
            f"{middle:.3g} [{low:.3g} {high:.3g}] | {by_bytes} | {wanted} |"
        )
    return [*found, "", *_beside_others(heats)]


def _beside_others(heats: dict[str, Heat]) -> list[str]:
    """Return how many times as long the packages take as we do, each by way of `BASE`."""
    of_base = {
        name: median(heat.runners[name].rounds_ms) / median(heat.runners[BASE].rounds_ms)
        for name, heat in heats.items()
        if name not in heat.left_out
    }
    found: list[str] = []
    for other in PACKAGES:
        if other in of_base:
            ours = {name: of_base[other] / of_base[name] for name in OURS_8_BIT if name in of_base}
            times = (f"{ratio:.3g} times as long as {name}" for name, ratio in ours.items())
            found += [f"{other}: {', and '.join(times)}.", ""]
    return found


def measured(places: Sequence[str], settings: Settings, progress: Progress) -> Iterator[str]:
    """Measure on workloads, and yield what came of it, line by line."""
    for place in places:
        workload = WORKLOADS[place]
        progress.begins(workload.title, 0)
        yield from lines(workload, measure_storage(workload, settings, progress))


def launch_storage(
    places: Sequence[str], rounds: int, threads: int | None, document: Path | None
) -> None:
    """Measure AdamW with state and weights in fewer bytes, and show what came of it.

    Args:
        places: Names of workloads.
        rounds: How often every contender has its turn.
        threads: How many threads they may use; as many as torch takes, if None.
        document: A document, whose section `storage` takes the tables.
    """
    settings = Settings(rounds, threads or torch.get_num_threads(), _BLOCK)
    launch_timed(STORAGE, settings, partial(measured, places), document)

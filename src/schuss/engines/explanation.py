"""The engine, the work and the cost of an optimizer's step: `Optimizer.explain`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from schuss.contract import Group, Measure, Pass, Rule, Stateful
from schuss.engines.devices.device import Resources
from schuss.engines.engine import Engine
from schuss.engines.loop import initial_state
from schuss.engines.planning import Piece
from schuss.engines.program.listing import listing
from schuss.engines.stacked.step import StackedStep
from schuss.engines.sums import added_up, measuring, with_sums
from schuss.engines.work import Traffic, flops_of, planned_for_all, traffic_of
from schuss.storage.precision import computable, real_count

CPU: Final = torch.device("cpu")

STREAM = 1 << 24
"""Numbers in each tensor with which the bandwidth is measured: 64 MiB, more than caches hold."""


@dataclass(frozen=True)
class CohortExplanation:
    """How one kind of parameters is stepped.

    Attributes:
        group: Number of the parameter group.
        parameters: How many parameters.
        numbers: How many real numbers they have together.
        dtype: Their dtype.
        engine: `loop`, `stacked`, `foreach` or `fused`.
        reason: Why this engine.
        program: The operations of the rule on one element; None on the loop.
        bytes_per_number: Bytes read and written for each number; None but on `fused`.
        bytes_read: Those of them that are read; None but on `fused`.
        passes: How often the numbers are gone through, to measure them too; None but on `fused`.
        kernel: The source of the kernel; None but on `fused`.
        path: The file of that source; None if none could be kept.
        device: The device of the parameters.
        algorithm: The part of a composite that steps them; empty in another optimizer.
        stacks: The shape of each stack, its parameters first; None but on `stacked`.
        flops: Floating-point operations of the functions of whole tensors, if there are any.
        resources: On a GPU, the registers of the functions of the kernel, by name.
        numbers_program: The operations that compute the numbers of the program, for each parameter
            its own, if the device does so and not Python: with `capturable=True`.
    """

    group: int
    parameters: int
    numbers: int
    dtype: torch.dtype
    engine: str
    reason: str
    program: str | None = None
    bytes_per_number: float | None = None
    bytes_read: float | None = None
    passes: int | None = None
    kernel: str | None = None
    path: Path | None = None
    device: torch.device = CPU
    algorithm: str = ""
    stacks: tuple[tuple[int, ...], ...] | None = None
    flops: int | None = None
    resources: Mapping[str, Resources] = field(default_factory=dict, hash=False)
    numbers_program: str | None = None

    @property
    def seconds(self) -> float | None:
        """The time that the bandwidth of the device's memory allows, or None if not known."""
        if self.bytes_per_number is None:
            return None
        return self.bytes_per_number * self.numbers / bandwidth(self.device)

    def __str__(self) -> str:
        """Tell it in some lines, then the program and the kernel."""
        dtype = str(self.dtype).removeprefix("torch.")
        what = f"{self.parameters} parameters, {self.numbers:,} numbers of {dtype}"
        if self.device.type != "cpu":
            what += f" on {self.device}"
        part = f" ({self.algorithm})" if self.algorithm else ""
        lines = [f"group {self.group}{part}: {what}, on the {self.engine} engine"]
        lines.append(f"  because {self.reason}")
        if self.seconds is not None:
            lines.append(
                f"  {self.bytes_per_number} bytes a number in {self.passes} "
                f"{'pass' if self.passes == 1 else 'passes'}, {self.bytes_read} of them read, for "
                f"which memory needs {1e3 * self.seconds:.3f} ms here "
                f"(at {bandwidth(self.device) / 1e9:.1f} GB/s)"
            )
        lines += [
            f"  {name} takes {registers} registers for each thread"
            + (f", and {spilled} numbers of 32 bits more in memory" if spilled else "")
            for name, (registers, spilled) in self.resources.items()
        ]
        if self.stacks:
            shapes = ", ".join("x".join(map(str, shape)) for shape in self.stacks)
            lines.append(f"  in {len(self.stacks)} stacks: {shapes}")
        if self.flops is not None:
            lines.append(
                f"  {self.flops:,} floating-point operations of functions between programs"
            )
        titles = {"numbers, before the program": self.numbers_program, "program": self.program}
        for title, text in titles.items():
            lines += ["", title, *(f"  {line}" for line in text.splitlines())] if text else []
        if self.kernel:
            path = self.path or "in memory, since no file of it could be kept"
            lines += ["", f"kernel {path}", *(f"  {x}" for x in self.kernel.splitlines())]
        return "\n".join(lines)


@dataclass(frozen=True)
class Explanation:
    """How an optimizer takes its steps. `print` it.

    Attributes:
        optimizer: Name of its class.
        cohorts: The kinds of parameters that it has.
    """

    optimizer: str
    cohorts: tuple[CohortExplanation, ...]

    def __str__(self) -> str:
        """Tell it, cohort by cohort."""
        return "\n\n".join([self.optimizer, *map(str, self.cohorts)])


def explained(
    engine: Engine,
    optimizer: Stateful,
    rules: Sequence[Rule],
    groups: Sequence[Group],
    passes: Sequence[Pass],
) -> Explanation:
    """Return how an optimizer would take a step in which every parameter has a gradient."""
    cohorts: list[CohortExplanation] = []
    measured: dict[tuple[int, int], list[Traffic]] = defaultdict(list)
    for measures, sharing in passes:
        pairs = list(zip(measures, groups, strict=True))
        for number, (measure, group) in enumerate(pairs):
            if measure is not None:
                planned, _ = planned_for_all(engine, optimizer, measuring(measure), group)
                for position, piece in enumerate(planned.pieces):
                    if piece.kernel:
                        measured[number, position].append(traffic_of(piece))
        sums = [measure and _of_one(optimizer, measure, group) for measure, group in pairs]
        groups = with_sums(groups, sums, sharing)
    for number, (rule, group) in enumerate(zip(rules, groups, strict=True)):
        of_group = _of_group(engine, optimizer, rule, number, group, measured)
        algorithm = group.get("algorithm", "")
        cohorts += [replace(each, algorithm=algorithm) for each in of_group]
    return Explanation(type(optimizer).__name__, tuple(cohorts))


def _of_group(
    engine: Engine,
    optimizer: Stateful,
    rule: Rule,
    number: int,
    whole: Group,
    measured: Mapping[tuple[int, int], Sequence[Traffic]],
) -> Iterator[CohortExplanation]:
    """Yield how the step of one group would be taken.

    Args:
        engine: The engine.
        optimizer: Whose parameters they are.
        rule: The rule.
        number: The number of the group.
        whole: The group.
        measured: The traffic of kernels that measure, by group and kind of parameters.
    """
    sparse = [p for p in whole["params"] if p.grad is not None and p.grad.is_sparse]
    if sparse:
        yield _on_the_loop(number, sparse, "their gradients are sparse")
    dense = [p for p in whole["params"] if p.grad is None or not p.grad.is_sparse]
    group = {**whole, "params": dense}
    if not dense:
        return
    planned, known = planned_for_all(engine, optimizer, rule, group)
    reason = _reason(group, planned.engine, known.passed_over)
    if planned.pieces:
        for position, piece in enumerate(planned.pieces):
            traffic = measured.get((number, position), ())
            yield _explained(number, planned.engine, reason, piece, traffic)
    elif planned.stacked:
        yield from _in_stacks(number, planned.stacked, reason)
    else:
        yield _on_the_loop(number, dense, reason)


def _on_the_loop(number: int, params: Sequence[Tensor], reason: str) -> CohortExplanation:
    numbers = sum(param.numel() for param in params)
    kind = params[0].dtype, "loop", reason
    return CohortExplanation(number, len(params), numbers, *kind, device=params[0].device)


def _in_stacks(number: int, step: StackedStep, reason: str) -> Iterator[CohortExplanation]:
    params = [param for stack in step.stacks for param in stack.params]
    for dtype in {param.dtype: None for param in params}:
        of_it = [stack for stack in step.stacks if stack.params[0].dtype is dtype]
        numbers = sum(param.numel() for stack in of_it for param in stack.params)
        shapes = tuple((len(stack.params), *stack.params[0].shape) for stack in of_it)
        count = sum(shape[0] for shape in shapes)
        kind = dtype, "stacked", reason
        device = params[0].device
        yield CohortExplanation(number, count, numbers, *kind, device=device, stacks=shapes)
    if step.alone.params:
        alone = f"{reason}; they are too large for a stack, or unlike all others"
        yield _on_the_loop(number, step.alone.params, alone)


def _of_one(optimizer: Stateful, measure: Measure, group: Group) -> dict[str, Tensor | float]:
    """Return what is measured of one parameter, which takes the place of the sums over all."""
    for param in group["params"]:
        real = computable(param.detach())
        return added_up([measure(initial_state(optimizer, group, param), group, real, real)])
    return {}


def _explained(
    number: int, name: str, reason: str, piece: Piece, measured: Sequence[Traffic]
) -> CohortExplanation:
    cohort, part, kernel = piece
    program, cut, computed = part.trace.program, part.trace.cut, part.trace.computed
    params = [cohort.params[index] for index in cohort.indices_of(part)]
    traffic = [*measured, traffic_of(piece)] if kernel else []
    return CohortExplanation(
        group=number,
        parameters=len(params),
        numbers=sum(map(real_count, params)),
        dtype=cohort.params[0].dtype,
        engine=name,
        reason=reason,
        program=str(program) if cut is None else listing(cut),
        bytes_per_number=sum(each.read + each.written for each in traffic) if kernel else None,
        bytes_read=sum(each.read for each in traffic) if kernel else None,
        passes=sum(each.passes for each in traffic) if kernel else None,
        kernel=kernel.source.text if kernel else None,
        path=kernel.path if kernel else None,
        device=cohort.like.device,
        flops=None if cut is None else len(params) * flops_of(part, cut),
        resources=kernel.device.resources(kernel) if kernel else {},
        numbers_program=str(computed.program) if computed else None,
    )


def _reason(group: Group, name: str, passed_over: dict[str, str]) -> str:
    if passed_over:
        by_cause: dict[str, list[str]] = {}
        for other, cause in passed_over.items():
            by_cause.setdefault(cause, []).append(other)
        return "; ".join(f"{' and '.join(at)} cannot: {cause}" for cause, at in by_cause.items())
    if group["capturable"]:
        return "capturable=True asks for kernels"
    if group[name] if name != "loop" else group["differentiable"]:
        return f"{'differentiable' if name == 'loop' else name}=True asks for it"
    if name == "loop":
        return "foreach=False or fused=False asks for it"
    return "it is the fastest"


@cache
def bandwidth(device: torch.device) -> float:
    """Return how many bytes a second a device reads and writes in a stream, measured once."""
    x, y = (torch.ones(STREAM, dtype=torch.float32, device=device) for _ in range(2))
    wait = getattr(getattr(torch, device.type, None), "synchronize", None)
    times = 1 if device.type == "cpu" else 16  # so that the call itself is short beside them
    seconds = []
    for _ in range(7):
        if wait is not None:
            wait(device)
        start = time.perf_counter()
        for _ in range(times):
            y.add_(x)
        if wait is not None:
            wait(device)
        seconds.append(time.perf_counter() - start)
    return times * 3 * 4 * STREAM / sorted(seconds)[len(seconds) // 2]

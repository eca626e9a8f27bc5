"""The memory of an optimizer and of its steps: `Optimizer.memory`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from schuss.contract import Batch, Group, Measure, Pass, Rule, State, Stateful, States
from schuss.engines import loop
from schuss.engines.engine import Engine
from schuss.engines.sums import measuring
from schuss.engines.trial import tried
from schuss.storage.codecs import Encoded, parts_of
from schuss.storage.codecs.policy import keep
from schuss.storage.precision import computed_dtype, real_count

if TYPE_CHECKING:
    from schuss.engines.scratch import Scratch


class Amount(NamedTuple):
    """An amount of memory in bytes.

    Attributes:
        predicted: The amount when every parameter has a gradient and has been stepped.
        measured: The amount now; tensors on the meta device take none.
    """

    predicted: int
    measured: int


@dataclass(frozen=True)
class Memory:
    """The bytes that a training has in memory for its parameters and their optimizer. `print` it.

    Attributes:
        optimizer: Name of its class.
        tensors: How many parameters it has.
        numbers: How many real numbers these have together.
        parameters: Bytes of the parameters.
        gradients: Bytes of all gradients.
        largest_gradient: Bytes of the largest one: about the bytes of gradients at a time, with
            `optimizer.releasing()`.
        state: Bytes of the state, by key.
        engines: The engine of each group.
        scratch: Bytes that a step takes for a while; None if the rule does not let it be told.
    """

    optimizer: str
    tensors: int
    numbers: int
    parameters: Amount
    gradients: Amount
    largest_gradient: int
    state: Mapping[str, Amount]
    engines: tuple[str, ...]
    scratch: int | None

    @property
    def all_state(self) -> Amount:
        """Bytes of the state, of all keys together."""
        return Amount(*(sum(each) for each in zip((0, 0), *self.state.values(), strict=True)))

    @property
    def peak(self) -> int:
        """The most bytes at once in a step, as predicted: all of it, activations left out."""
        kept = self.parameters, self.gradients, self.all_state
        return sum(each.predicted for each in kept) + (self.scratch or 0)

    def __str__(self) -> str:
        """Show it as a table."""
        keys = [(f"  {key}", amount) for key, amount in self.state.items()]
        rows: list[tuple[str, int | None, int | None]] = [
            ("parameters", *self.parameters),
            ("gradients", *self.gradients),
            ("  the largest one", self.largest_gradient, None),
            ("state", *self.all_state),
            *((key, *amount) for key, amount in keys),
            (f"scratch of a step ({', '.join(self.engines)})", self.scratch, None),
            ("most in a step", self.peak, None),
        ]
        width = max(len(name) for name, *_ in rows)
        lines = [f"{'':{width}}{'predicted':>12}{'a number':>12}{'now':>12}"]
        for name, predicted, measured in rows:
            is_known = bool(self.numbers) and predicted is not None
            each = f"{(predicted or 0) / self.numbers:.2f} B" if is_known else ""
            now = "" if measured is None else shown(measured)
            lines.append(f"{name:{width}}{shown(predicted):>12}{each:>12}{now:>12}")
        head = f"{self.optimizer}, {self.tensors:,} parameters, {self.numbers:,} numbers"
        return "\n".join([head, "", *(line.rstrip() for line in lines)])


def shown(size: int | None) -> str:
    """Return bytes as they are printed: in units of 1,000 of the next smaller one."""
    if size is None:
        return "not known"
    for unit, power in (("GB", 9), ("MB", 6), ("kB", 3)):
        if size >= 10**power:
            return f"{size / 10**power:,.2f} {unit}"
    return f"{size} B"


def stored_bytes(value: object) -> int:
    """Return the bytes that a value of a state takes, apart from Python's own."""
    if not isinstance(value, Tensor):
        return 0
    return sum(part.numel() * part.element_size() for part in parts_of(value))


def footprint(
    engine: Engine,
    optimizer: Stateful,
    rules: Sequence[Rule],
    groups: Sequence[Group],
    passes: Sequence[Pass],
) -> Memory:
    """Return the memory of an optimizer: predicted, for steps of all parameters, and now."""
    from schuss.engines.scratch import scratch  # which imports what kernels are made with

    params = [param for group in groups for param in group["params"]]
    trained = list(filter(_is_trained, params))
    grads = [param.grad for param in params if param.grad is not None]
    predicted: Counter[str] = Counter()
    taken: list[Scratch] = []
    for number, (rule, group) in enumerate(zip(rules, groups, strict=True)):
        measures = [of_each[number] for of_each, _ in passes]
        twins = _Twins(optimizer, rule, [m for m in measures if m is not None], group)
        for state in twins.states.values():
            predicted.update({key: stored_bytes(value) for key, value in state.items()})
        if twins.states:
            taken.append(scratch(optimizer, rule, twins.group, twins.states, twins.device))
    kept = _by_key(engine.kept.states.get(param) or {} for param in params)
    return Memory(
        optimizer=type(optimizer).__name__,
        tensors=len(params),
        numbers=sum(map(real_count, params)),
        parameters=Amount(_stored(params), _bytes(params)),
        gradients=Amount(_stored(trained), _bytes(grads)),
        largest_gradient=max(map(stored_bytes, trained), default=0),
        state={
            key: Amount(predicted[key], kept[key])
            for key in {**predicted, **kept}
            if predicted[key] or kept[key]
        },
        engines=tuple(dict.fromkeys(each.engine for each in taken)),
        scratch=_together(taken),
    )


def _together(taken: Sequence[Scratch]) -> int | None:
    """Return the bytes that the engines of all groups take for a while, one group after another."""
    passing = [each.passing for each in taken if each.passing is not None]
    if len(passing) < len(taken):
        return None
    return sum(each.kept for each in taken) + max(passing, default=0)


def _stored(tensors: Iterable[Tensor]) -> int:
    return sum(map(stored_bytes, tensors))


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of tensors that have memory."""
    return _stored(tensor for tensor in tensors if not tensor.is_meta)


def _is_trained(param: Tensor) -> bool:
    """Tell whether a parameter has a gradient, or may get one."""
    return param.requires_grad or param.grad is not None


def _by_key(states: Iterable[State]) -> Counter[str]:
    found: Counter[str] = Counter()
    for state in states:
        found.update({key: stored_bytes(value) for key, value in state.items()})
    return found


class _Twins:
    """The parameters of a group without memory, with their states after a first step.

    Attributes:
        states: The states, by parameter.
        group: The group, with sums of 1 where its rule needs sums over parameters.
        device: The device that the parameters themselves are on; a CPU for those without memory.
    """

    def __init__(
        self, optimizer: Stateful, rule: Rule, measures: Sequence[Measure], group: Group
    ) -> None:
        params = list(filter(_is_trained, group["params"]))
        self.states: States = {}
        self.device = params[0].device if params else torch.device("cpu")
        if self.device.type == "meta":
            self.device = torch.device("cpu")
        known: dict[object, State] = {}
        for param in params:
            twin = torch.empty_like(param, device="meta", requires_grad=False)
            kind = param.shape, param.dtype, param.stride()
            if kind not in known:
                known[kind] = _after_a_step(optimizer, rule, measures, group, param)
            self.states[twin] = {key: _twin(value) for key, value in known[kind].items()}
        self.group = {**group, "params": list(self.states)}
        for param in list(self.states)[:1]:
            self.group |= _sums(optimizer, measures, self.group, param)


def _after_a_step(
    optimizer: Stateful, rule: Rule, measures: Sequence[Measure], group: Group, param: Tensor
) -> State:
    """Return the state of a parameter after its first step, or before if none can be tried.

    State that the rule has made in the step is kept here as the next step is going to keep it.
    """
    twin = torch.empty_like(param, device="meta", requires_grad=False)
    try:
        state = tried(optimizer, rule, measures, group, param, {})
    except Exception:  # noqa: BLE001  # a stranger's rule raises what it likes
        return loop.initial_state(optimizer, group, twin)
    keep(state, group, twin)
    return state


def _twin(value: Any) -> Any:
    """Return a value of a state without memory, kept as it is there."""
    if isinstance(value, Encoded):
        return value.copied(torch.device("meta"), value.dtype)
    return torch.empty_like(value, device="meta") if isinstance(value, Tensor) else value


def _sums(
    optimizer: Stateful, measures: Sequence[Measure], group: Group, param: Tensor
) -> Mapping[str, dict[str, Tensor]]:
    """Return sums of 1 for a rule, under the names of what is measured of one parameter."""
    dtype = computed_dtype(param.dtype)
    sums: dict[str, Tensor] = {}
    for measure in measures:
        seen = {param: loop.initial_state(optimizer, group, param)}
        given = {**group, "sums_over_group": sums, "sums_over_all": sums}
        loop.run(optimizer, seen, measuring(measure), Batch(given, [param], [param]), None)
        sums |= {key: torch.ones((), dtype=dtype, device=param.device) for key in seen[param]}
    return {"sums_over_group": sums, "sums_over_all": sums} if measures else {}

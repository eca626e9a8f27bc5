"""Repeating a trace: a rule that is traced once, and the numbers of its program in every step.

A rule is a function of its state, its group, and tensors. Of two steps with the same program only
the numbers differ: the step count, a learning rate that a schedule has changed. `recorded` traces a
rule with a `Number` in place of each of them, and makes a Python function of what was computed;
`Replay.again` calls this function in a later step, which takes a few microseconds. All that is no
number (a flag, a name, None) is compared, and if anything but numbers has changed, or a comparison
of numbers ends otherwise than it did, the rule has to be traced anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from torch import Tensor

from schuss.contract import Group, State
from schuss.engines.errors import Request
from schuss.engines.tracing.calculation import (
    Calculation,
    Number,
    NumberRead,
    drawn,
    is_tensor_number,
)
from schuss.engines.tracing.several import ApartError, Differ, Several
from schuss.engines.tracing.tracer import Trace

Tracing = Callable[[State, Group, Any, Callable[[], Any]], Trace]
"""Traces a rule, given the numbers of a state, a group, the scale of the gradient, and a source of
random numbers."""

KEPT = 8
"""How many traces of one cohort are kept."""

_UNREAD = ("params", "param_names", "transforms")
"""The keys of a group that a rule does not read."""


class Replay:
    """A trace that can be repeated with other numbers.

    Attributes:
        source: The function that computes the numbers, as text.
        draws: Whether random numbers are among these.
    """

    def __init__(self, trace: Trace, source: str, constants: dict[str, object]) -> None:
        self.source = source
        self.draws = any(each is drawn for each in constants.values())
        self._trace = trace
        exec(compile(source, "<calculation>", "exec"), constants)  # of our own text
        self._function: Any = constants["calculation"]

    def numbers(
        self, group: Group, numbers: State, scale: float | Tensor | None = None
    ) -> tuple[list[Any], State] | None:
        """Return the arguments and the numbers that the rule leaves; takes what `again` does."""
        try:
            found: tuple[list[Any], State] | None = self._function(group, numbers, scale)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return None  # the rule raises that too, and may catch it; or it does other things now
        return found

    def again(self, group: Group, numbers: State, scale: float | Tensor | None) -> Trace | None:
        """Return the trace with other numbers, or None if the rule would have done other things.

        Args:
            group: The group.
            numbers: The numbers of the state; one that differs among parameters is a `Several`.
            scale: The factor of the gradients, or None.
        """
        found = self.numbers(group, numbers, scale)
        if found is None:
            return None
        arguments, after = found
        program, _, _, dropped, matrix_axes, axes, on_device, cut, _ = self._trace
        for number in numbers.values():
            if type(number) is Several:  # and so may be what was computed with it
                arguments = [x.values if type(x) is Several else x for x in arguments]
                break
        return Trace(program, arguments, after, dropped, matrix_axes, axes, on_device, cut)


class Replays:
    """The traces of one cohort that can be repeated.

    A rule may do other things for other numbers (before and after a warm-up, say), and each has a
    trace of its own.

    Attributes:
        last: The replay of the last trace that was asked for, if it has one.
    """

    def __init__(self) -> None:
        self.last: Replay | None = None
        self._known: list[tuple[object, Replay]] = []
        self._unrepeatable: object = None

    def trace(
        self,
        pure: object,
        tracing: Tracing,
        numbers: State,
        group: Group,
        scale: float | Tensor | None,
    ) -> Trace:
        """Return what a rule does, by repeating an earlier trace if there is one like it.

        Args:
            pure: Stands for the rule.
            tracing: Traces the rule.
            numbers: The numbers of the state; one that differs among parameters is a `Several`.
            group: The group.
            scale: The factor of the gradients, or None.
        """
        for of, replay in self._known:
            if of == pure:
                found = replay.again(group, numbers, scale)
                if found is not None:
                    self.last = replay
                    return found
        self.last = None
        if self._unrepeatable == pure:
            return tracing(numbers, group, scale, drawn)
        try:
            trace, replay = recorded(tracing, group, numbers, scale)
        except (ApartError, Differ, Request):
            raise
        except Exception:  # noqa: BLE001  # a rule raises what it likes, and does so below again
            trace = tracing(numbers, group, scale, drawn)
            self._unrepeatable = pure
            return trace
        self.last = replay
        self._known = [(pure, replay), *self._known[: KEPT - 1]]
        return trace


def recorded(
    tracing: Tracing, group: Group, numbers: State, scale: float | Tensor | None
) -> tuple[Trace, Replay]:
    """Trace a rule so that it can be repeated.

    Args:
        tracing: Traces the rule.
        group: The group.
        numbers: The numbers of the state; one that differs among parameters is a `Several`.
        scale: The factor of the gradients, or None.

    Raises:
        NumberRead: The rule does with a number what cannot be written down, or there is something
            in the group or in the state that may change unseen.
    """
    reader = _Reader(reads_tensors=not group.get("capturable"))
    seen_group = reader.read_all("group", group)
    seen_numbers = reader.read_all("numbers", numbers)
    seen_scale = reader.read("scale", scale)
    noted = reader.calculation
    trace = tracing(seen_numbers, seen_group, seen_scale, noted.drawn)
    after = {key: _end(noted, value) for key, value in trace.scalars.items()}
    arguments = [_argument(noted, x) for x in trace.arguments]
    items = ", ".join(f"{noted.text(key)}: {text}" for key, text in after.items())
    lines = ["def calculation(group, numbers, scale):"]
    lines += [f"    {line}" for line in noted.lines]
    lines += [f"    return [{', '.join(arguments)}], {{{items}}}", ""]
    replay = Replay(
        trace._replace(arguments=[], scalars={}), "\n".join(lines), dict(noted.constants)
    )
    rest = {k: v.value if type(v) is Number else v for k, v in trace.scalars.items()}
    return trace._replace(arguments=list(map(_value_of, trace.arguments)), scalars=rest), replay


def _value_of(x: Any) -> Any:
    """Return the value of an argument of a program as floats: one, or an array of several."""
    if type(x) is Number:
        x = x.value
        return x.values if type(x) is Several else float(x)
    return x


def _argument(noted: Calculation, x: Any) -> str:
    """Return the text of an argument of a program, which is a float."""
    text = noted.text(x)
    if type(x) is Number and x.is_tensor:
        return f"float({text})"
    return f"{text} * 1.0" if type(x) is Number and x.is_whole else text


def _end(noted: Calculation, value: object) -> str:
    """Return the text of what a rule leaves in a state."""
    if isinstance(value, Tensor):  # its number is computed by torch
        raise NumberRead
    return noted.text(value)


class _Reader:
    """Reads numbers, and writes down how they are read and what else is to be compared.

    Args:
        reads_tensors: Whether tensors of one number are read, which a graph forbids.
    """

    def __init__(self, *, reads_tensors: bool) -> None:
        self.calculation = Calculation()
        self._reads_tensors = reads_tensors
        self._count = 0

    def read_all(self, name: str, values: State) -> State:
        """Return what a rule is to see in place of a dictionary."""
        self._unless(f"len({name}) == {len(values)}")
        return {key: self._value(name, key, value) for key, value in values.items()}

    def read(self, text: str, value: Any) -> Any:
        """Return what a rule is to see in place of a value that an expression gives."""
        kind = value.__class__
        if kind is int or kind is float:
            name = self._named(text)
            self._unless(f"{name}.__class__ is {kind.__name__}")
            return Number(self.calculation, value, name)
        if self._is_tensor(value):
            name = self._named(text)
            check, dtype = map(self.calculation.constant, (is_tensor_number, value.dtype))
            self._unless(f"{check}({name}) and {name}.dtype is {dtype}")
            return Number(self.calculation, value, name)
        if kind in (tuple, list) and value and all(map(self._is_number, value)):
            name = self._named(text)
            self._unless(f"{name}.__class__ is {kind.__name__} and len({name}) == {len(value)}")
            return kind(self.read(f"{name}[{n}]", each) for n, each in enumerate(value))
        if type(value) is dict:
            return _Unread()
        if not _is_constant(value):
            raise NumberRead(f"a {type(value).__name__}")
        self._unless(f"{text} is {self._constant(value)}")
        return value

    def _is_tensor(self, value: object) -> bool:
        return self._reads_tensors and is_tensor_number(value)

    def _is_number(self, value: object) -> bool:
        return type(value) in (int, float) or self._is_tensor(value)

    def _value(self, name: str, key: object, value: Any) -> Any:
        text = f"{name}[{self.calculation.text(key)}]"
        return value if key in _UNREAD else self.read(text, value)

    def _constant(self, value: object) -> str:
        alone = value is None or type(value) is bool
        return self.calculation.text(value) if alone else self.calculation.constant(value)

    def _named(self, text: str) -> str:
        self._count += 1
        self.calculation.lines.append(f"h{self._count} = {text}")
        return f"h{self._count}"

    def _unless(self, condition: str) -> None:
        self.calculation.lines.append(f"if not ({condition}): return None")


class _Unread:
    """Stands in for sums over parameters, which most rules that have them do not read."""

    def _read(self, *_: object) -> NoReturn:
        raise NumberRead("sums over parameters")

    __getattr__ = __getitem__ = __iter__ = __len__ = __contains__ = __bool__ = __eq__ = _read
    __hash__ = None  # type: ignore[assignment]


def _is_constant(value: object) -> bool:
    """Tell whether a value cannot change but by becoming another object."""
    if type(value) is tuple:
        return all(map(_is_constant, value))
    return value is None or type(value) in (bool, int, float, str)

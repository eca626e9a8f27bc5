"""Calculations: the arithmetic that a rule does with Python numbers, written down as Python.

A learning rate, a decay rate or a step count is a number, and a rule may do anything with it:
`1 - beta ** step`, say. While a rule is traced to be repeated later, each number is a `Number`: it
has the value, so that all that depends on it really happens, and it writes down the expression that
it came from. A comparison writes down how it ended, because the rule did different things if it had
ended otherwise. The finished text is compiled once; a later step calls it with new numbers, and
gets the numbers that the rule would have computed, bit for bit: they are the same operations of
Python on the same values.

All else that Python does with a number (`math.log`, `int`, an index, a text) needs the value at
once and leaves no trace. It raises `NumberRead`, and the rule is traced anew in every step. So does
an operation that raises an error, because the rule may catch that. Only `type(x)` tells a number
from what stands in for it; `isinstance` does not.

A hyper-parameter may be a tensor of one number. torch computes with it then, and rounds to its
precision. The statements are the same, and so torch does in a later step what it did in the first.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor

from schuss.engines.devices.device import keeps_numbers
from schuss.engines.errors import Refusal
from schuss.engines.tracing.sizes import Size

PURE = (bool, int, float)
"""The types of numbers whose arithmetic is known."""


WRITTEN = (bool, int, float, str, type(None))
"""The types of values that Python reads again as it shows them."""


_OF_TENSORS = frozenset({"clamp", "cos", "sqrt", "squeeze"})
"""The functions of tensors of one number that rules call."""


class NumberRead(Refusal):
    """A rule does with a number what cannot be written down."""


class Calculation:
    """The computations with numbers so far.

    Attributes:
        lines: The statements, each of which names a number or ends the calculation, if a comparison
            does not end as it did.
        constants: Values that have no text, by the names that stand for them in the statements.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, object] = {}
        self._known: dict[str, Number] = {}

    def number(self, value: Any, expression: str) -> Number:
        """Return the number that an expression gives, which is computed only once."""
        known = self._known.get(expression)
        if known is None:
            if value.__class__ not in (int, float, Tensor):  # a root of a negative number, say
                raise NumberRead(expression)
            known = Number(self, value, f"t{len(self._known)}")
            self._known[expression] = known
            self.lines.append(f"{known.name} = {expression}")
        return known

    def note(self, condition: str, *, truth: bool) -> bool:
        """Write down how a condition ended, and return that."""
        line = f"if {'not ' if truth else ''}({condition}): return None"
        if line not in self.lines:
            self.lines.append(line)
        return truth

    def drawn(self) -> Number:
        """Return a random number of torch's generator, drawn anew whenever this is calculated."""
        name = f"r{len(self.lines)}"
        self.lines.append(f"{name} = {self.constant(drawn)}()")
        return Number(self, drawn(), name)

    def text(self, value: object) -> str:
        """Return the text that stands for a value in a statement."""
        if type(value) is Number:
            return value.name
        if type(value) is Size:  # known, because parameters of one trace have one
            return str(int(value))
        if type(value) not in WRITTEN or (type(value) is float and not math.isfinite(value)):
            return self.constant(value)
        text = repr(value)
        return f"({text})" if text.startswith("-") else text

    def constant(self, value: object) -> str:
        """Return a name that stands for a value."""
        for name, known in self.constants.items():
            if known is value:
                return name
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name


class Number:
    """Stands in for a Python number, and writes down what is computed with it.

    Attributes:
        calculation: Where it is written down.
        value: The number, or several.
        name: Its name there.
    """

    __slots__ = ("calculation", "name", "value")

    def __init__(self, calculation: Calculation, value: Any, name: str) -> None:
        self.calculation = calculation
        self.value = value
        self.name = name

    @property  # type: ignore[misc]  # so that isinstance finds a number
    def __class__(self) -> type:
        """The type of the value; of a tensor its own, because torch would take it for memory."""
        return Number if self.is_tensor else self.value.__class__

    def __getattr__(self, name: str) -> Callable[..., Number]:
        """Return a function of a tensor, and refuse what is not known."""
        if name in _OF_TENSORS and self.is_tensor:
            return partial(self._called, name)
        raise NumberRead(name)

    def _called(self, name: str, **options: object) -> Number:
        noted = self.calculation
        if not all(map(_is_number, options.values())):
            raise NumberRead(name)
        plain = {key: _plain(value) for key, value in options.items()}
        texts = ", ".join(f"{key}={noted.text(value)}" for key, value in options.items())
        value = getattr(self.value, name)(**plain)
        return noted.number(value, f"{self.name}.{name}({texts})")

    @property
    def is_whole(self) -> bool:
        """Whether the value is of Python's type `int`."""
        return self.value.__class__ is int

    @property
    def is_tensor(self) -> bool:
        """Whether torch computes with it."""
        return self.value.__class__ is Tensor

    def cos(self) -> Number:
        """Return the cosine, as `schuss.scalar_math` asks for it."""
        return self._called("cos") if self.is_tensor else self._of(math.cos)

    def __ceil__(self) -> Number:
        """Return the least whole number that is not less."""
        return self._of(math.ceil)

    def __floor__(self) -> Number:
        """Return the largest whole number that is not more."""
        return self._of(math.floor)

    def _of(self, function: Callable[[Any], Any]) -> Number:
        noted = self.calculation
        value = _done(function, self.value)
        return noted.number(value, f"{noted.constant(function)}({self.name})")

    def _read(self, *_: object) -> NoReturn:
        raise NumberRead

    __float__ = __int__ = __index__ = __hash__ = __complex__ = _read
    __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = __invert__ = _read
    __rand__ = __ror__ = __rxor__ = __rlshift__ = __rrshift__ = _read
    __round__ = __trunc__ = __divmod__ = __rdivmod__ = _read
    __str__ = __repr__ = __format__ = __array__ = _read
    __array_ufunc__ = None

    def __bool__(self) -> bool:
        """Tell whether it is other than 0."""
        if self.is_tensor:
            raise NumberRead("bool")
        return self.calculation.note(self.name, truth=bool(self.value))


def drawn() -> float:
    """Return a random number of torch's generator, so that `torch.manual_seed` repeats a run."""
    return float(torch.randint(1 << 53, (), dtype=torch.int64, device="cpu"))


def is_tensor_number(x: object) -> bool:
    """Tell whether a hyper-parameter is a tensor of one number that Python can read at once."""
    if type(x) is not Tensor or x.dim() or x.requires_grad:
        return False
    return x.is_floating_point() and not keeps_numbers(x.device)


def _is_number(x: object) -> bool:
    return type(x) in (Number, Size, *PURE)


def _is_float(x: object) -> bool:
    return _plain(x).__class__ is float


def _done(function: Callable[..., Any], *values: Any) -> Any:
    """Return what a function gives, and refuse a trace in which it raises.

    The rule may catch the error (a division by 0, say) and go on, which nothing writes down.
    """
    try:
        return function(*values)
    except (ArithmeticError, TypeError, ValueError) as error:
        NumberRead(error)  # noted, and raised at the end of the trace
        raise


def _plain(x: Any) -> Any:
    return x.value if type(x) is Number else int(x) if type(x) is Size else x


def _binary(
    symbol: str, function: Callable[[Any, Any], Any], *, reflected: bool
) -> Callable[[Number, object], Any]:
    def method(x: Number, other: object) -> Any:
        if not _is_number(other):
            return NotImplemented  # a stand-in for a tensor knows what to do
        first, second = (other, x) if reflected else (x, other)
        made = _done(function, _plain(first), _plain(second))
        noted = x.calculation
        number = noted.number(made, f"{noted.text(first)} {symbol} {noted.text(second)}")
        may_change = not (_is_float(first) and not _is_float(second))
        if symbol == "**" and may_change and not number.is_tensor:
            # A power of whole numbers is one too, or none. A root of a negative number is complex.
            noted.note(f"{number.name}.__class__ is {number.__class__.__name__}", truth=True)
        return number

    return method


def _compared(symbol: str, function: Callable[[Any, Any], Any]) -> Callable[[Number, object], Any]:
    def method(x: Number, other: object) -> Any:
        if not _is_number(other):
            return NotImplemented
        if x.is_tensor or _plain(other).__class__ is Tensor:  # which `where` would take as one
            raise NumberRead(symbol)
        truth = _done(function, x.value, _plain(other))
        noted = x.calculation
        return noted.note(f"{x.name} {symbol} {noted.text(other)}", truth=truth)

    return method


def _unary(expression: str, function: Callable[[Any], Any]) -> Callable[[Number], Number]:
    def method(x: Number) -> Number:
        return x.calculation.number(_done(function, x.value), expression.format(x.name))

    return method


def _special_methods() -> None:
    """Give the class the operators of numbers."""
    binary = {
        "add": "+",
        "sub": "-",
        "mul": "*",
        "truediv": "/",
        "floordiv": "//",
        "mod": "%",
        "pow": "**",
    }
    for name, symbol in binary.items():
        function = getattr(operator, name)
        setattr(Number, f"__{name}__", _binary(symbol, function, reflected=False))
        setattr(Number, f"__r{name}__", _binary(symbol, function, reflected=True))
    compared = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
    for name, symbol in compared.items():
        setattr(Number, f"__{name}__", _compared(symbol, getattr(operator, name)))
    for name, expression in {"neg": "-{}", "pos": "+{}", "abs": "abs({})"}.items():
        setattr(Number, f"__{name}__", _unary(expression, getattr(operator, name)))


_special_methods()

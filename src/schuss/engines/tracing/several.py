"""A number that differs from parameter to parameter, and what a rule computes with it.

Parameters that came late, or had no gradient in some steps, differ in their step count. A rule is
traced for all of them at once with a `Several` in place of the count: arithmetic is done on an
array of float64, which gives the same bits as Python's own arithmetic does for each number. A
comparison gives one truth, or raises `Differ`, and the parameters are traced in two halves. All
else that Python does with a number (`math.log`, an index, a text) raises `ApartError`: each
distinct set of numbers is then traced with Python's own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from schuss.engines.errors import Refusal
from schuss.engines.tracing.powers import powers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT = 2.0**53
"""Whole numbers below this one are exact in float64."""


class ApartError(Refusal):
    """A rule does with a number what can only be done with one at a time."""


class Differ(Refusal):
    """A comparison is true for some of the numbers only.

    Attributes:
        mask: For which it is.
    """

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        super().__init__()
        self.mask = mask


class Several:
    """Stands in for a Python number, with a value for each distinct set of numbers.

    Attributes:
        values: The values, float64.
        whole: They are of Python's type `int`.
    """

    __slots__ = ("values", "whole")

    def __init__(self, values: NDArray[np.float64], *, whole: bool = False) -> None:
        self.values = values
        self.whole = whole

    @property  # type: ignore[misc]  # so that isinstance finds a number
    def __class__(self) -> type:
        """The type of each value."""
        return int if self.whole else float

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse what is not known."""
        raise ApartError(name)

    def _apart(self, *_: object) -> NoReturn:
        raise ApartError

    __float__ = __int__ = __index__ = __hash__ = __complex__ = _apart
    __round__ = __trunc__ = __floor__ = __ceil__ = __divmod__ = __rdivmod__ = _apart
    __str__ = __repr__ = __format__ = __array__ = _apart
    __array_ufunc__ = None

    def __bool__(self) -> bool:
        """Tell whether they are other than 0."""
        return _truth(self.values != 0)

    def __neg__(self) -> Several:
        """Return them with the other sign."""
        return _checked(-self.values, whole=self.whole)

    def __pos__(self) -> Several:
        """Return them."""
        return self

    def __abs__(self) -> Several:
        """Return their absolute values."""
        return Several(np.abs(self.values), whole=self.whole)


def _truth(mask: Any) -> bool:
    if mask.all():
        return True
    if mask.any():
        raise Differ(mask)
    return False


def _is_whole(x: object) -> bool:
    return x.whole if type(x) is Several else isinstance(x, int)


def _values(x: object) -> Any:
    """Return the values of an operand; numbers that float64 cannot hold are refused."""
    if type(x) is Several:
        return x.values
    if type(x) is int and abs(x) >= EXACT:
        raise ApartError
    return float(x)  # type: ignore[arg-type]


def _checked(values: NDArray[np.float64], *, whole: bool) -> Several:
    if whole:
        if not (np.abs(values) < EXACT).all():
            raise ApartError
        values = values + 0.0  # of whole numbers there is no -0
    return Several(values, whole=whole)


def _sum_like(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Several]:
    def result(x: object, y: object) -> Several:
        return _checked(function(_values(x), _values(y)), whole=_is_whole(x) and _is_whole(y))

    return result


def _quotient_like(function: Callable[[Any, Any], Any], *, keeps_whole: bool) -> Any:
    def result(x: object, y: object) -> Several:
        divisor = _values(y)
        if not np.all(divisor):  # Python raises
            raise ApartError
        whole = keeps_whole and _is_whole(x) and _is_whole(y)
        if keeps_whole and not whole:  # Python's remainder of floats has rules of its own
            raise ApartError
        return _checked(function(_values(x), divisor), whole=whole)

    return result


def _power(x: object, y: object) -> Several:
    """Return powers, each by Python: NumPy's differ from the C library's in the last bit."""
    if _is_whole(x) and _is_whole(y):
        raise ApartError
    base, exponent = _values(x), _values(y)
    try:
        powers: Any
        if type(base) is float and _is_whole(y):
            powers = powers_of(base, exponent)
        elif type(base) is float:
            powers = [base**each for each in exponent.tolist()]
        elif type(exponent) is float:
            powers = [each**exponent for each in base.tolist()]
        else:
            powers = list(map(pow, base.tolist(), exponent.tolist()))
    except ArithmeticError:  # of one of them
        raise ApartError from None
    found = np.array(powers)
    if found.dtype != np.float64:  # a root of a negative number is complex
        raise ApartError
    return Several(found)


def _compared(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    return lambda x, y: _truth(function(_values(x), _values(y)))


def _special_methods() -> None:
    """Give the class the operators of numbers."""
    binary: dict[str, Callable[[Any, Any], Any]] = {
        "add": _sum_like(np.add),
        "sub": _sum_like(np.subtract),
        "mul": _sum_like(np.multiply),
        "truediv": _quotient_like(np.divide, keeps_whole=False),
        "floordiv": _quotient_like(np.floor_divide, keeps_whole=True),
        "mod": _quotient_like(np.mod, keeps_whole=True),
        "pow": _power,
    }
    for name, function in binary.items():
        setattr(Several, f"__{name}__", _method(function))
        setattr(Several, f"__r{name}__", _reflected(function))
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(Several, f"__{name}__", _method(_compared(getattr(operator, name))))


def _is_number(x: object) -> bool:
    return type(x) in (Several, float, int, bool) or isinstance(x, (np.integer, np.floating))


def _method(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def method(x: Several, other: object) -> Any:
        if not _is_number(other):
            return NotImplemented  # a stand-in for a tensor knows what to do
        with np.errstate(all="ignore"):
            return function(x, other)

    return method


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return _method(lambda x, other: function(other, x))


_special_methods()

"""Domains: the values that a hyper-parameter may have.

A class with hyper-parameters names the domain of each: `Domains(eps=at_least(0), nesterov=FLAG)`.
Every check looks at the type first. A number is an int, a float, a NumPy number or a tensor of one
number. A bool is no number, and strings are never read as numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from operator import is_
from typing import Any, Final, NoReturn

import torch
from torch import Tensor

from schuss.contract import Group

_LARGEST = sys.float_info.max
_NOUNS = {
    "lr": "learning rate",
    "eps": "epsilon value",
    "betas": "betas",
    **{f"betas[{index}]": f"beta parameter at index {index}" for index in range(9)},
}
"""The nouns that `torch.optim` uses for hyper-parameters in its messages."""


class Domain:
    """The values that a hyper-parameter may have.

    Args:
        allowed: The end of the sentence that begins with the hyper-parameter's name and "must".
    """

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed

    def check(self, key: str, value: Any) -> None:
        """Refuse a value that lies outside.

        Args:
            key: The name of the hyper-parameter.
            value: Its value.

        Raises:
            TypeError: The value is of the wrong type.
            ValueError: The value is of the right type, and lies outside.
        """
        raise NotImplementedError

    def plain(self, value: Any) -> Any:
        """Return a value that lies inside as rules compute with it.

        Rules see Python's numbers and tensors of no dimensions. A value that is one already is
        returned itself.
        """
        return _without_numpy(value)

    def refuse(
        self, error: type[Exception], key: str, value: object, allowed: str | None = None
    ) -> NoReturn:
        """Raise an error in the form that all of them have."""
        shown = repr(value)
        if isinstance(value, Tensor) and value.numel() != 1:
            shown = f"a tensor of shape {tuple(value.shape)}"
        noun = _NOUNS.get(key, f"{key} value")
        raise error(f"Invalid {noun}: {shown}; {key} must {allowed or self.allowed}")


class _Number(Domain):
    """The numbers from `low` to `high`, both included; NaN is none of them."""

    def __init__(self, allowed: str, low: float, high: float) -> None:
        super().__init__(allowed)
        self._low, self._high = low, high

    def check(self, key: str, value: Any) -> None:
        """Refuse a value that is no number, or lies outside."""
        number = value if type(value) is float else self._number(key, value)
        if not (self._low <= number <= self._high or (self is WRITTEN and math.isnan(number))):
            self.refuse(ValueError, key, value)

    def plain(self, value: Any) -> Any:
        """Return a view of a tensor, so that a schedule that writes into it is followed."""
        if isinstance(value, Tensor):
            return value.reshape(()) if value.dim() else value
        return _without_numpy(value)

    def _number(self, key: str, value: Any) -> float:
        number = _without_numpy(value)
        if isinstance(number, Tensor) and not number.is_complex() and number.dtype != torch.bool:
            if number.numel() != 1:
                self.refuse(ValueError, key, value, "be a number or a tensor of one element")
            number = number.item()
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            self.refuse(TypeError, key, value, "be a number")
        return number


class _Whole(Domain):
    """The whole numbers from `low` on. A float may be one of them, a tensor may not."""

    def __init__(self, low: int) -> None:
        super().__init__(f"be a whole number, at least {low}")
        self._low = low

    def check(self, key: str, value: Any) -> None:
        """Refuse a value that is no number, is not whole, or lies outside."""
        number = value if type(value) is int else _without_numpy(value)
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            self.refuse(TypeError, key, value)
        if not (self._low <= number <= _LARGEST and number == math.floor(number)):
            self.refuse(ValueError, key, value)

    def plain(self, value: Any) -> Any:
        """Return the number as an int, also where the group holds a float or a NumPy number."""
        return value if type(value) is int else int(value)


class _Flag(Domain):
    """True and False."""

    def check(self, key: str, value: Any) -> None:
        """Refuse a value that is no bool."""
        if type(value) is not bool and not isinstance(_without_numpy(value), bool):
            self.refuse(TypeError, key, value)


class _Named(Domain):
    """A few strings or None, and the values of another domain, if there is one."""

    def __init__(self, names: Sequence[str | None], otherwise: Domain | None = None) -> None:
        self._names, self._otherwise = names, otherwise
        *first, last = map(repr, names)
        self._listed = f"{', '.join(first)} or {last}" if first else last
        begin = f"{otherwise.allowed}, or " if otherwise else "be "
        super().__init__(begin + self._listed)

    def check(self, key: str, value: Any) -> None:
        """Refuse a value that is none of the names, and not in the other domain."""
        if (value is None or isinstance(value, str)) and value in self._names:
            return
        if self._otherwise is None:
            self.refuse(ValueError if isinstance(value, str) else TypeError, key, value)
        if isinstance(value, str) and any(self._names):
            self.refuse(ValueError, key, value)
        try:
            self._otherwise.check(key, value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error}, or {self._listed}") from None

    def plain(self, value: Any) -> Any:
        """Return a name, or a value of the other domain as rules compute with it."""
        if value is None or isinstance(value, str) or self._otherwise is None:
            return value
        return self._otherwise.plain(value)


class _Row(Domain):
    """A tuple, a list, an array or a tensor of values.

    Args:
        domains: The domain of each element, or one of all elements of a row of any length.
        of: A noun for the elements.
    """

    def __init__(self, domains: Sequence[Domain] | Domain, of: str) -> None:
        count = "" if isinstance(domains, Domain) else f"{len(domains)} "
        super().__init__(f"be a tuple of {count}{of}")
        self._domains = domains

    def check(self, key: str, value: Any) -> None:
        """Refuse a value that is no such row, and an element that lies outside of its domain."""
        row = _elements(value)
        if row is None:
            self.refuse(TypeError, key, value)
        domains = self._of(row)
        if len(row) != len(domains):
            self.refuse(ValueError, key, value)
        for index, (domain, element) in enumerate(zip(domains, row, strict=True)):
            domain.check(f"{key}[{index}]", element)

    def plain(self, value: Any) -> Any:
        """Return a tuple of the elements as rules compute with them."""
        row = _elements(value) or ()
        plain = tuple(d.plain(element) for d, element in zip(self._of(row), row, strict=True))
        return value if row is value and all(map(is_, row, plain)) else plain

    def _of(self, row: Sequence[Any]) -> Sequence[Domain]:
        return [self._domains] * len(row) if isinstance(self._domains, Domain) else self._domains


class Domains(dict[str, Domain]):
    """The domains of hyper-parameters, by name."""

    def check(self, group: Group) -> None:
        """Check the hyper-parameters that a group has.

        Raises:
            TypeError: One is of the wrong type.
            ValueError: One lies outside of its domain.
        """
        for key, domain in self.items():
            if key in group:
                domain.check(key, group[key])

    def plain(self, group: Group) -> dict[str, Any]:
        """Return the hyper-parameters that rules see otherwise than they are in a checked group."""
        found = {}
        for key, value in group.items():
            if type(value) is not bool and key in self:
                plain = self[key].plain(value)
                if plain is not value:
                    found[key] = plain
        return found


def _elements(value: Any) -> Sequence[Any] | None:
    """Return the elements of a row, or None of what is none."""
    if isinstance(value, Tensor):
        return value.unbind() if value.dim() == 1 else None
    row = _without_numpy(value)
    return row if isinstance(row, (tuple, list)) else None


def _without_numpy(value: Any) -> Any:
    """Return the Python object of a NumPy number or array; NumPy need not be there."""
    python = type(value) is float or isinstance(value, Tensor) or not hasattr(value, "tolist")
    return value if python else value.tolist()


SHARE: Final = _Number("lie in [0, 1]", 0.0, 1.0)
"""Shares, and decay rates that may be 1."""

DECAY_RATE: Final = _Number("lie in [0, 1)", 0.0, math.nextafter(1.0, 0.0))
"""Decay rates of a running mean; with a rate of 1 the mean would never change."""

POSITIVE_SHARE: Final = _Number("lie in (0, 1]", math.nextafter(0.0, 1.0), 1.0)
"""Shares that the algorithm divides by, so that 0 is refused."""

INSIDE: Final = _Number("lie between 0 and 1", math.nextafter(0.0, 1.0), math.nextafter(1.0, 0.0))
"""Shares of a mixture that has both of its parts."""

NUMBER: Final = _Number("be finite", -_LARGEST, _LARGEST)
"""All finite numbers, positive and negative."""

WRITTEN: Final = _Number("be a number", -math.inf, math.inf)
"""Numbers that an optimizer itself writes into its groups, and that may have overflowed."""

FLAG: Final = _Flag("be True or False")
"""True and False; the numbers 0 and 1 are refused."""


def at_least(low: float, *, unbounded: bool = False) -> Domain:
    """Return the numbers from `low` on; `unbounded` has infinity too."""
    return _from(f"be at least {low}", low, unbounded=unbounded)


def above(low: float, *, unbounded: bool = False) -> Domain:
    """Return the numbers above `low`; `unbounded` has infinity too."""
    return _from(f"be above {low}", math.nextafter(low, math.inf), unbounded=unbounded)


def _from(allowed: str, low: float, *, unbounded: bool) -> Domain:
    if unbounded:
        return _Number(allowed, low, math.inf)
    return _Number(f"{allowed} and finite", low, _LARGEST)


def at_most(high: float) -> Domain:
    """Return the numbers up to `high`."""
    return _Number(f"be at most {high} and finite", -_LARGEST, high)


def whole(low: int) -> Domain:
    """Return the whole numbers from `low` on."""
    return _Whole(low)


def one_of(*names: str, otherwise: Domain | None = None) -> Domain:
    """Return a few strings, and the values of another domain, if there is one."""
    return _Named(names, otherwise)


def or_none(domain: Domain) -> Domain:
    """Return a domain with None, which switches something off or leaves it to the optimizer."""
    return _Named((None,), domain)


def tuple_of(*domains: Domain) -> Domain:
    """Return the tuples with an element in each of the domains."""
    return _Row(domains, "numbers")


def decay_rates(count: int | None = None) -> Domain:
    """Return the tuples of `count` decay rates, or of any number of them."""
    return _Row(DECAY_RATE if count is None else [DECAY_RATE] * count, "decay rates")

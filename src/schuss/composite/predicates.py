"""Predicates of a route, which tell of a parameter whether a line of the route is about it.

A predicate is asked for a reason: a few words if it holds, and nothing if not. Predicates are put
together with `|`, `&` and `~`. `ndim`, `shorter_side` and `aspect` are numbers, which become
predicates when they are compared with one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final

from schuss.composite.facts import Fact, matrix_sides

NAMED: Final = "named "
"""The beginning of the reason where a route decides by name."""

_Reason = Callable[[Fact], str]


_Change = Callable[["Predicate"], "Predicate"]


class Predicate:
    """A condition on a parameter.

    Args:
        text: The condition as it is written in a route.
        reason: Returns why the condition holds for a parameter, or nothing if it does not.
        is_term: Whether the text can stand beside an operator without parentheses.
    """

    def __init__(self, text: str, reason: _Reason, *, is_term: bool = True) -> None:
        self._text = text
        self.reason = reason
        self._is_term = is_term

    @property
    def _term(self) -> str:
        return self._text if self._is_term else f"({self._text})"

    def __or__(self, other: Predicate) -> Predicate:
        """Hold where one of two holds."""
        if not isinstance(other, Predicate):
            return NotImplemented

        def either(fact: Fact) -> str:
            return self.reason(fact) or other.reason(fact)

        return Predicate(f"{self} | {other}", either, is_term=False)

    def __and__(self, other: Predicate) -> Predicate:
        """Hold where both of two hold."""
        if not isinstance(other, Predicate):
            return NotImplemented

        def both(fact: Fact) -> str:
            first = self.reason(fact)
            second = other.reason(fact) if first else ""
            return f"{first}, {second}" if second else ""

        return Predicate(f"{self._term} & {other._term}", both, is_term=False)

    def __invert__(self) -> Predicate:
        """Hold where this one does not."""
        text = f"not {self._term}"
        return Predicate(f"~{self._term}", lambda fact: "" if self.reason(fact) else text)

    def __ror__(self, number: float) -> Bound:
        """Hold where the comparison with a number that stands before it, or this one, holds."""
        return Bound(number, lambda predicate: predicate | self)

    def __rand__(self, number: float) -> Bound:
        """Hold where the comparison with a number that stands before it, and this one, hold."""
        return Bound(number, lambda predicate: predicate & self)

    def __bool__(self) -> bool:
        """Refuse to be true or false, which `and`, `or`, `not` and chained comparisons ask for."""
        raise TypeError(f"{self} is a predicate of a route; write |, & and ~ for or, and, not")

    def __repr__(self) -> str:
        """Show the condition as it is written in a route."""
        return self._text


class Bound:
    """A number that a quantity is compared with, and predicates that were written behind it.

    `ndim < 2 | norms` is `ndim < (2 | norms)` to Python, and is meant as `(ndim < 2) | norms`.
    """

    def __init__(self, number: float, after: _Change) -> None:
        self.number = number
        self.after = after

    def __or__(self, other: Predicate) -> Bound:
        """Hold where the comparison or a predicate holds."""
        return Bound(self.number, lambda predicate: self.after(predicate) | other)

    def __and__(self, other: Predicate) -> Bound:
        """Hold where the comparison and a predicate hold."""
        return Bound(self.number, lambda predicate: self.after(predicate) & other)


class Quantity:
    """A number that a parameter has, to be compared with another one.

    `norms | ndim < 2` is `(norms | ndim) < 2` to Python, and is meant as `norms | (ndim < 2)`.

    Args:
        name: Its name in a route.
        number: Returns the number of a parameter.
        before: Adds the predicates that were written before it.
    """

    def __init__(
        self, name: str, number: Callable[[Fact], float], before: _Change = lambda each: each
    ) -> None:
        self._name = name
        self._number = number
        self._before = before

    def __ror__(self, other: Predicate) -> Quantity:
        """Hold where a predicate or the comparison holds."""
        if not isinstance(other, Predicate):
            return NotImplemented
        return Quantity(self._name, self._number, lambda each: other | self._before(each))

    def __rand__(self, other: Predicate) -> Quantity:
        """Hold where a predicate and the comparison hold."""
        if not isinstance(other, Predicate):
            return NotImplemented
        return Quantity(self._name, self._number, lambda each: other & self._before(each))

    def __lt__(self, bound: float | Bound) -> Predicate:
        """Hold where the number is less."""
        return self._compared("<", operator.lt, bound)

    def __le__(self, bound: float | Bound) -> Predicate:
        """Hold where the number is at most the other one."""
        return self._compared("<=", operator.le, bound)

    def __gt__(self, bound: float | Bound) -> Predicate:
        """Hold where the number is greater."""
        return self._compared(">", operator.gt, bound)

    def __ge__(self, bound: float | Bound) -> Predicate:
        """Hold where the number is at least the other one."""
        return self._compared(">=", operator.ge, bound)

    def __eq__(self, bound: float | Bound) -> Predicate:  # type: ignore[override]
        """Hold where both numbers are the same."""
        return self._compared("==", operator.eq, bound)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show its name."""
        return self._name

    def _compared(
        self, sign: str, holds: Callable[[float, float], bool], bound: float | Bound
    ) -> Predicate:
        limit = bound if isinstance(bound, Bound) else Bound(bound, lambda each: each)

        def reason(fact: Fact) -> str:
            number = self._number(fact)
            return f"{self._name} is {number:g}" if holds(number, limit.number) else ""

        text = f"{self._name} {sign} {limit.number:g}"
        predicate = Predicate(text, reason, is_term=False)
        return limit.after(self._before(predicate))


def named(pattern: str) -> Predicate:
    """Hold for the parameters with a name that matches a shell pattern, as `"*.attn.*"` does."""

    def reason(fact: Fact) -> str:
        if not fact.names:
            raise TypeError(
                f"named({pattern!r}) tells parameters by their names, and {fact.told} has none; "
                "give Composite the model, or model.named_parameters()"
            )
        matching = [name for name in fact.names if fnmatchcase(name, pattern)]
        return f"{NAMED}{matching[0]}" if matching else ""

    return Predicate(f"named({pattern!r})", reason)


def _in_role(name: str, *roles: str) -> Predicate:
    """Hold for the parameters that have one of some roles in the model."""

    def reason(fact: Fact) -> str:
        if fact.roles is None:
            raise TypeError(
                f"{name} tells parameters by the modules that they belong to, and Composite was "
                "given parameters alone; give it the model, or decide with named(...) and ndim"
            )
        return next((fact.roles[role] for role in roles if role in fact.roles), "")

    return Predicate(name, reason)


def _rest(fact: Fact) -> str:
    """Return "everything else", with a role of the parameter that no line before was about."""
    role = next((reason for role, reason in (fact.roles or {}).items() if role != "tied"), "")
    return f"everything else: {role}" if role else "everything else"


everything: Final = Predicate("everything", _rest)
"""Holds for every parameter: the last line of most routes."""

embeddings: Final = _in_role("embeddings", "embedding")
"""Tables with a row for each token or position, and what a module for embeddings consists of."""

heads: Final = _in_role("heads", "head")
"""The weight and the bias of an output layer."""

tied: Final = _in_role("tied", "tied")
"""Parameters that several modules share."""

norms: Final = _in_role("norms", "norm")
"""Parameters of normalization layers."""

biases: Final = _in_role("biases", "bias")
"""Parameters called a bias, of any number of dimensions."""

routers: Final = _in_role("routers", "router")
"""Weights that score the experts of a mixture of experts."""

experts: Final = _in_role("experts", "experts")
"""Tensors with one matrix for each expert."""

convolutions: Final = _in_role("convolutions", "convolution")
"""Kernels of convolutions, but for those with one input channel for each output channel."""

transposed: Final = _in_role("transposed", "transposed")
"""Weights of linear layers and experts whose outputs are in the last dimension, as in the class
`Conv1D` of transformers."""

qkv: Final = _in_role("qkv", "qkv")
"""Weights of `torch.nn.MultiheadAttention` that are three matrices below one another."""

matrices: Final = _in_role("matrices", "linear", "convolution", "experts")
"""Weights by which a layer multiplies: linear layers, convolutions, attention, experts."""

ndim: Final = Quantity("ndim", lambda fact: fact.param.ndim)
"""The number of dimensions of a parameter."""

shorter_side: Final = Quantity("shorter_side", lambda fact: min(matrix_sides(fact)))
"""The shorter side of a parameter as a matrix: a convolution is one of outputs and all the rest,
experts are matrices of the last two dimensions."""

aspect: Final = Quantity("aspect", lambda fact: _aspect(*matrix_sides(fact)))
"""The longer side of a parameter as a matrix over the shorter one."""


def _aspect(rows: int, columns: int) -> float:
    return max(rows, columns) / max(1, min(rows, columns))

"""Declared hyper-parameters: attributes in the body of a class, of which the constructor is made.

A declaration holds all that is known of a hyper-parameter: its symbol in the equations, its
meaning, its domain, its default. A type checker reads it as the field of a dataclass, and so knows
the constructor, as an editor does. When the class is made, the constructor, its signature, its
help, and the checks of values follow from the declarations of the class and of those that it
inherits from. As in a dataclass, a declaration that is made again keeps its place among the
arguments.

    class SignSGD(Optimizer):
        lr: float = rate(default=1e-2)

        def update(self, state, group, grad, param):
            return grad.sign()

A class may have an `__init__` of its own instead.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from schuss.domains import FLAG, Domain, at_least, decay_rates

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[type], type]:
        """Do nothing: it tells type checkers what to make of a class."""
        return lambda cls: cls


T = TypeVar("T")

Acts = Literal["added", "decoupled", "in update"]
"""How a mere coefficient of weight decay acts: added to the gradient, on the weight itself, or as a
part of the update."""


class Hyper:
    """A declared hyper-parameter.

    Attributes:
        name: Its name: of the attribute, the argument, and the key of a group.
        default: Its default; `Parameter.empty` if it has none.
        symbol: Its symbol in the equations; empty if it has none.
        meaning: The meaning of the hyper-parameter, without a full stop.
        domain: Its values; None for what does not belong into a group.
        kw_only: It is given by name only.
        is_common: Every class of its kind has it, and explains it elsewhere.
        is_argument: It is an argument of the constructor; else a class has fixed it.
        acts: How it acts, if it is a coefficient of weight decay.
    """

    def __init__(
        self,
        default: Any,
        symbol: str,
        meaning: str,
        domain: Domain | None,
        *,
        kw_only: bool = False,
        is_common: bool = False,
        is_argument: bool = True,
        acts: Acts | None = None,
    ) -> None:
        self.name = ""
        self.default = default
        self.symbol = symbol
        self.meaning = meaning
        self.domain = domain
        self.kw_only = kw_only
        self.is_common = is_common
        self.is_argument = is_argument
        self.acts = acts

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the attribute that the declaration is assigned to."""
        self.name = name

    def __get__(self, instance: object, owner: type) -> Hyper:
        """Return the declaration, to a class; an instance has no such attribute."""
        if instance is None:
            return self
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self.name!r}; hyper-parameters belong to "
            "its groups"
        )

    def after(self, inherited: Hyper | None) -> Hyper:
        """Return the declaration with what it leaves to the one that a class inherits."""
        if inherited is not None and not self.is_argument:
            self.symbol, self.meaning = inherited.symbol, inherited.meaning
            self.domain = inherited.domain
        return self

    @property
    def parameter(self) -> Parameter:
        """The argument of the constructor, as `inspect.signature` has it."""
        kind = Parameter.KEYWORD_ONLY if self.kw_only else Parameter.POSITIONAL_OR_KEYWORD
        return Parameter(self.name, kind, default=self.default)

    @property
    def explained(self) -> str:
        """The meaning and the domain, as sentences."""
        allowed = f" It must {self.domain.allowed}." if self.domain else ""
        return f"{self.meaning[:1].upper()}{self.meaning[1:]}.{allowed}"

    def __str__(self) -> str:
        """Return the line of a docstring's *Args* that describes the argument."""
        symbol = f" ({self.symbol})" if self.symbol else ""
        return f"{self.name}{symbol}: {self.explained}"


def hyper(symbol: str, meaning: str, domain: Domain, *, default: T, kw_only: bool = False) -> T:
    """Declare a hyper-parameter, which becomes an argument of the constructor and a key of groups.

    Args:
        symbol: Its symbol in the equations; empty if it has none.
        meaning: The meaning of the hyper-parameter, without a full stop.
        domain: Its values; see `schuss.domains`.
        default: Its default.
        kw_only: It is given by name only.
    """
    return Hyper(default, symbol, meaning, domain, kw_only=kw_only)  # type: ignore[return-value]


def required(symbol: str, meaning: str, domain: Domain, *, kw_only: bool = False) -> Any:
    """Declare a hyper-parameter without a default; see `hyper`. Of an optimizer it is `kw_only`."""
    return Hyper(Parameter.empty, symbol, meaning, domain, kw_only=kw_only)


def rate(meaning: str = "", *, default: T) -> T:
    """Declare the learning rate γ, at least 0.

    Args:
        meaning: Its meaning in this algorithm, without a full stop.
        default: Its default.
    """
    meaning = f"learning rate: {meaning}" if meaning else "learning rate"
    return Hyper(default, "γ", meaning, at_least(0))  # type: ignore[return-value]


def moment_rates(*, default: T) -> T:
    """Declare the decay rates β₁ and β₂ of the first and the second moment, in [0, 1)."""
    meaning = "decay rates of the first and the second moment"
    return Hyper(default, "β₁, β₂", meaning, decay_rates(2))  # type: ignore[return-value]


def stabilizer(meaning: str, *, default: T) -> T:
    """Declare the stabilizer ε, at least 0.

    Args:
        meaning: Where it is added, without a full stop.
        default: Its default.
    """
    return Hyper(default, "ε", f"stabilizer, {meaning}", at_least(0))  # type: ignore[return-value]


def flag(meaning: str, *, default: T, kw_only: bool = False) -> T:
    """Declare a hyper-parameter that is True or False."""
    return Hyper(default, "", meaning, FLAG, kw_only=kw_only)  # type: ignore[return-value]


def option(meaning: str, domain: Domain | None, *, default: T, kw_only: bool) -> T:
    """Declare a hyper-parameter that all classes of a kind have, explained in one place for all."""
    made: Any = Hyper(default, "", meaning, domain, kw_only=kw_only, is_common=True)
    return made  # type: ignore[no-any-return]


def decay(acts: Acts = "added", *, default: object, kw_only: bool = False) -> Any:
    """Declare the weight decay λ: a decay object, or a coefficient, which is at least 0.

    Args:
        acts: How a mere coefficient acts. A class that declares `decoupled_weight_decay` leaves it
            to that.
        default: Its default.
        kw_only: It is given by name only.
    """
    meaning = f"weight decay: a decay object, or a coefficient, {_ACTS[acts]}"
    return Hyper(default, "λ", meaning, at_least(0), kw_only=kw_only, acts=acts)


def fixed(*, default: T, init: Literal[False] = False) -> T:
    """Declare the value that a class fixes for a hyper-parameter: it is no argument any more."""
    return Hyper(default, "", "", None, is_argument=init)  # type: ignore[return-value]


_ACTS: Final[Mapping[Acts, str]] = {
    "added": "added to the gradient",
    "decoupled": "decoupled from it",
    "in update": "which acts within the update",
}


@dataclass_transform(
    field_specifiers=(hyper, required, rate, moment_rates, stabilizer, flag, option, decay, fixed)
)
class Constructed:
    """A class whose constructor type checkers read off its declarations."""


class Declared:
    """A class with declared hyper-parameters.

    Attributes:
        hypers: The declarations of the class and of those that it inherits from, by name.
    """

    hypers: Mapping[str, Hyper] = {}  # replaced, never written to

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Gather the declarations, and make the constructor, unless the class has its own."""
        super().__init_subclass__(**kwargs)
        cls.hypers = _gathered(cls)
        own = [name for name, value in vars(cls).items() if isinstance(value, Hyper)]
        if not own:
            return
        if "__init__" not in vars(cls) and cls._construct is not Declared._construct:
            cls.__init__ = _constructor(cls)  # type: ignore[method-assign]
        if cls.__doc__ and "\n    Args:\n" not in cls.__doc__:
            cls.__doc__ = _documented(cls.__doc__, arguments(cls))

    def _construct(self, values: dict[str, Any], given: set[str], others: dict[str, Any]) -> None:
        """Initialize the instance from the values of the arguments.

        Args:
            values: Of those that are declared.
            given: The names of the arguments that were given; the others have their defaults.
            others: Further keyword arguments.
        """
        raise NotImplementedError


def arguments(cls: type[Declared]) -> list[Hyper]:
    """Return the declarations that are arguments of a class, in their order."""
    found = [hyper for hyper in cls.hypers.values() if hyper.is_argument]
    return [h for h in found if not h.kw_only] + [h for h in found if h.kw_only]


def _gathered(cls: type) -> dict[str, Hyper]:
    """Return the declarations, and refuse another attribute that only looks like one."""
    found: dict[str, Hyper] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Hyper):
                found[name] = value.after(found.get(name))
            elif name in found and not isinstance(value, property) and "__init__" not in vars(base):
                raise TypeError(
                    f"{cls.__name__}: {name!r} is a declared hyper-parameter, and something else "
                    f"in {base.__name__}; give one of them another name"
                )
    return found


def _constructor(cls: type[Declared]) -> Callable[..., None]:
    """Return an `__init__` that takes what a class declares."""
    instance = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    try:
        signature = Signature([instance, *(each.parameter for each in arguments(cls))])
    except ValueError as error:  # an optimizer has params=None first
        raise TypeError(f"{cls.__name__}: {error}; declare it with kw_only=True") from None
    fixed_values = {name: each.default for name, each in cls.hypers.items() if not each.is_argument}

    def constructor(self: Declared, *args: Any, **kwargs: Any) -> None:
        known = {key: value for key, value in kwargs.items() if key in signature.parameters}
        try:
            bound = signature.bind(self, *args, **known)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        given = set(bound.arguments)
        bound.apply_defaults()
        values = {**fixed_values, **bound.arguments}
        del values["self"]
        # Copies, so that no optimizer writes into what another one begins with (a tensor, say).
        values |= copy.deepcopy({key: values[key] for key in values.keys() - given})
        others = {key: value for key, value in kwargs.items() if key not in known}
        self._construct(values, given, others)

    constructor.__name__ = "__init__"
    constructor.__qualname__ = f"{cls.__qualname__}.__init__"
    constructor.__module__ = cls.__module__
    constructor.__doc__ = "Take the arguments that the class declares."
    vars(constructor)["__signature__"] = signature
    return constructor


def _documented(doc: str, hypers: list[Hyper]) -> str:
    """Return a docstring with a section on the arguments."""
    text = inspect.cleandoc(doc)
    lines = [f"    {each}" for each in hypers if not each.is_common]
    section = "\n".join(["Args:", *lines])
    before, example, after = text.partition("\nExample:\n")
    return f"{before.rstrip()}\n\n{section}\n{example}{after}" if lines else text

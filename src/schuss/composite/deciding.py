"""A route is followed: each parameter goes to the part that the first line about it names."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from torch import Tensor, nn

from schuss.composite.facts import Fact, facts_of
from schuss.composite.parts import ALGORITHM
from schuss.composite.predicates import Predicate
from schuss.composite.usual import HIDDEN, REST, VIEWS, Usual, usual_route

if TYPE_CHECKING:
    from schuss.optimizer import Optimizer

Line: TypeAlias = tuple[str, Predicate] | tuple[str, Predicate, Mapping[str, Any]]
"""The name of a part, a predicate, and hyper-parameters of the parameters that it holds for."""

Route: TypeAlias = Sequence[Line]
"""Lines, of which the first one that is about a parameter decides about it."""


class Decision(NamedTuple):
    """The decision of a route about one parameter.

    Attributes:
        fact: The parameter, and what is known of it.
        part: The name of the part that steps it.
        number: The number of the line that decided, from 1.
        line: Its predicate, as it is written in the route.
        reason: Why the predicate holds.
        options: The hyper-parameters that the line gives.
    """

    fact: Fact
    part: str
    number: int
    line: str
    reason: str
    options: Mapping[str, Any]


def decided(
    params: nn.Module | Iterable[Any],
    route: Route | None,
    parts: Mapping[str, Optimizer],
    *,
    exempt_bias_and_norm: bool = False,
) -> tuple[list[dict[str, Any]], dict[Tensor, Decision]]:
    """Return the parameter groups of a composite, and the decisions that they follow from.

    Groups are in the order of the parts. Lines with the same part and equal hyper-parameters share
    a group.

    Args:
        params: A model, parameters, or groups that name their part.
        route: The route; None for the usual one.
        parts: The parts by name.
        exempt_bias_and_norm: Let the usual route exempt them from the weight decay.

    Raises:
        TypeError: A line is none, an option of the usual route comes with another one, or the
            parameters are not as `facts_of` takes them.
        ValueError: See `Composite`.
    """
    given = params if isinstance(params, nn.Module) else list(params)
    if isinstance(given, list) and given and all(isinstance(each, dict) for each in given):
        if route is not None:
            raise ValueError(
                "Composite was given groups, each of which names its part, and a route; leave the "
                "route out, or give it the model"
            )
        return given, {}
    facts = facts_of(given)
    lines = _lines(route, parts, exempt_bias_and_norm=exempt_bias_and_norm)
    decisions = [_decision(fact, lines) for fact in facts]
    _check_use(lines, facts, decisions)
    _check_parts(parts, decisions)
    return _groups(decisions, parts), {each.fact.param: each for each in decisions}


def _lines(
    route: Route | None, parts: Mapping[str, Optimizer], *, exempt_bias_and_norm: bool
) -> list[tuple[str, Predicate, Any]]:
    """Return the lines of a route, or those of the usual one if there is none."""
    if route is None:
        return _checked(_usual(parts, exempt_bias_and_norm=exempt_bias_and_norm), parts)
    if exempt_bias_and_norm:
        raise TypeError(
            "exempt_bias_and_norm=True is for the usual route; write a line into yours, as in "
            "('rest', norms | biases | ndim < 2, {'weight_decay': 0.0})"
        )
    return _checked(route, parts)


def _usual(parts: Mapping[str, Optimizer], *, exempt_bias_and_norm: bool) -> Route:
    if set(parts) != {HIDDEN, REST}:
        raise ValueError(
            f"Composite needs a route for the parts {_listed(parts)}, as in "
            f"route=[({next(iter(parts))!r}, everything)]; only the parts {HIDDEN!r} and {REST!r} "
            "have a usual one"
        )
    return usual_route(exempt_bias_and_norm=exempt_bias_and_norm)


def _checked(
    route: Iterable[Any], parts: Mapping[str, Optimizer]
) -> list[tuple[str, Predicate, Any]]:
    lines = [_line(number, line, parts) for number, line in enumerate(route, 1)]
    for part in parts:
        if part not in [line[0] for line in lines]:
            raise ValueError(f"no line of the route is for the part {part!r}; leave the part out")
    return lines


def _line(
    number: int, line: Any, parts: Mapping[str, Optimizer]
) -> tuple[str, Predicate, dict[str, Any]]:
    if (
        not isinstance(line, tuple)
        or len(line) not in (2, 3)
        or not isinstance(line[1], Predicate)
        or not isinstance(line[2] if len(line) == 3 else {}, Mapping)
    ):
        raise TypeError(
            f"line {number} of the route is {line!r}; it must be the name of a part and a "
            "predicate, and may have a dictionary of hyper-parameters, as in "
            "('rest', ndim < 2, {'weight_decay': 0.0})"
        )
    part, predicate, *options = line
    if part not in parts:
        raise ValueError(
            f"line {number} of the route, {predicate!r}, is for the part {part!r}, which there "
            f"is not; there are {_listed(parts)}"
        )
    values: dict[str, Any] = dict(*options)
    known = parts[part].defaults
    if isinstance(predicate, Usual) and VIEWS not in known:
        values.pop(VIEWS, None)
    for key in values.keys() - known.keys():
        raise ValueError(
            f"line {number} of the route, {predicate!r}, gives {key!r}, which is no "
            f"hyper-parameter of {type(parts[part]).__name__}; there are {_listed(known)}"
        )
    return part, predicate, values


def _decision(fact: Fact, lines: Sequence[tuple[str, Predicate, Any]]) -> Decision:
    for number, (part, predicate, options) in enumerate(lines, 1):
        reason = predicate.reason(fact)
        if reason:
            return Decision(fact, part, number, repr(predicate), reason, options)
    raise ValueError(
        f"no line of the route is about {fact.told}; end the route with a line for everything, as "
        f"in ({lines[-1][0]!r}, everything)"
    )


def _check_use(
    lines: Sequence[tuple[str, Predicate, Any]],
    facts: Sequence[Fact],
    decisions: Sequence[Decision],
) -> None:
    """Refuse lines that are about no parameter, and warn of those that others come before."""
    for number, (_, predicate, _) in enumerate(lines, 1):
        if isinstance(predicate, Usual) or any(each.number == number for each in decisions):
            continue
        about = [fact for fact in facts if predicate.reason(fact)]
        if not about:
            some = f"; one of them is {facts[0].told}" if facts else ""
            raise ValueError(
                f"line {number} of the route, {predicate!r}, is about no parameter{some}"
            )
        warnings.warn(
            f"line {number} of the route, {predicate!r}, decides nothing, because lines before it "
            f"decide about {about[0].told} and all else that it is about",
            stacklevel=4,
        )


def _check_parts(parts: Mapping[str, Optimizer], decisions: Sequence[Decision]) -> None:
    for part in parts:
        if all(each.part != part for each in decisions):
            warnings.warn(
                f"the part {part!r} of Composite has no parameters; print(optimizer.routes()) "
                "shows which part has them",
                stacklevel=4,
            )


def _groups(decisions: Sequence[Decision], parts: Mapping[str, Optimizer]) -> list[dict[str, Any]]:
    """Return the groups: in the order of parts, then of lines; parameters in that of the model."""
    groups: list[dict[str, Any]] = []
    for part in parts:
        own = [each for each in decisions if each.part == part]
        found: list[Mapping[str, Any]] = []
        for options in (each.options for each in sorted(own, key=lambda each: each.number)):
            if options not in found:
                found.append(options)
        for options in found:
            facts = [each.fact for each in own if each.options == options]
            params = [(fact.names[0], fact.param) if fact.names else fact.param for fact in facts]
            groups.append({"params": params, **options, ALGORITHM: part})
    return groups


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(map(repr, parts))

"""The statements of a rule: where each begins and ends, and what it changes."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from docs.site.equations import Equation

RETURNED = "return"
"""Stands among the names that a statement changes for what its function returns."""


@dataclass(frozen=True)
class Piece:
    """Some lines of a function, numbered as in the file, and the equations that they compute."""

    first: int
    last: int
    equations: tuple[Equation, ...] = ()


def body_of(function: ast.FunctionDef) -> list[ast.stmt]:
    """Return the statements of a function but for its docstring."""
    has_docstring = ast.get_docstring(function) is not None
    return function.body[1:] if has_docstring else function.body


def changed_by(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives new values: variables and keys of the state.

    A name that only points to an entry of the state or the group is none of them.

    Example:
        >>> sorted(changed_by(ast.parse("m.lerp_(grad, 0.1)").body[0]))
        ['m']
        >>> changed_by(ast.parse("m = state['exp_avg']").body[0])
        set()
    """
    names: set[str] = set()
    for node in ast.walk(statement):
        match node:
            case ast.Assign(targets=targets, value=value) if not _is_entry(value):
                names.update(name for target in targets for name in _named(target))
            case ast.AnnAssign(target=target, value=ast.expr() as value) if not _is_entry(value):
                names.update(_named(target))
            case ast.AugAssign(target=target):
                names.update(_named(target))
            case ast.Call(func=ast.Attribute(attr=attr, value=receiver)) if attr.endswith("_"):
                names.update(_named(_root(receiver)))
    return names


def hands_on(statement: ast.stmt, functions: Collection[str]) -> bool:
    """Tell whether a statement only takes what another of the functions computes."""
    match statement:
        case (
            ast.Assign(value=ast.Call(func=ast.Attribute(attr=attr, value=ast.Name(id="self"))))
            | ast.Return(value=ast.Call(func=ast.Attribute(attr=attr, value=ast.Name(id="self"))))
        ):
            return attr in functions
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.Call(func=ast.Attribute(attr="in_update"), args=[ast.Name(id=taken), *_]),
        ):
            return name == taken  # to which some decay objects add the decay
    return False


def _is_entry(value: ast.expr) -> bool:
    """Tell whether an expression is an entry of a dictionary, or a tuple of such."""
    if isinstance(value, ast.Tuple):
        return all(map(_is_entry, value.elts))
    match value:
        case ast.Call(func=ast.Attribute(attr="get", value=ast.Name()), args=[_, *default]):
            return not any(isinstance(each, ast.Name) for each in default)
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Subscript):
        value = value.value
    return isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name)


def _named(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=elements):
            for element in elements:
                yield from _named(element)
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            yield key


def _root(receiver: ast.expr) -> ast.expr:
    """Return what a chain of calls began with: `m` of `m.mul_(beta).add_(grad)`."""
    while isinstance(receiver, ast.Call | ast.Attribute):
        receiver = receiver.func if isinstance(receiver, ast.Call) else receiver.value
    return receiver


def entries_of(function: ast.FunctionDef) -> dict[str, str]:
    """Return the variable that a function has for each entry of the state, by the entry's key.

    Example:
        >>> text = "def update(state): m, v = state['exp_avg'].mul_(2), state['exp_avg_sq']"
        >>> entries_of(ast.parse(text).body[0])
        {'exp_avg': 'm', 'exp_avg_sq': 'v'}
    """
    found: dict[str, str] = {}
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = list(zip(names, values, strict=False))
            case ast.Assign(targets=[name, *_], value=value):
                pairs = [(name, value)]
            case ast.AnnAssign(target=name, value=ast.expr() as value):
                pairs = [(name, value)]
            case _:
                pairs = []
        for name, value in pairs:
            match name, _root(value):
                case ast.Name(id=variable), ast.Subscript(
                    value=ast.Name(id="state"), slice=ast.Constant(value=str(key))
                ):
                    found.setdefault(key, variable)
    return found


RULES = ("update", "step_param", "gradient", "direction", "get_lr", "parameter")
"""Methods that compute what the equations say, in the order in which symbols are looked for."""

_RETURNS = {
    "update": ("u", "q"),
    "gradient": ("grad",),
    "get_lr": ("lr",),
    "direction": ("d", "u"),
    "local_rate": ("q",),
    "normalized": ("U",),
    "rectification": ("r",),
    "scale": ("s",),
    "sign": ("u",),
}
"""The names of the symbols that a method may return."""

_ELSE = {"update": ("param",)}
"""Those that it returns if there is no equation for the first: a step, up to the learning rate."""

_KEYS = {"m": "exp_avg", "v": "exp_avg_sq"}
"""Entries of the state for which a rule may have no variable, by the names of their symbols."""


def aligned(
    functions: Mapping[str, ast.FunctionDef], equations: Sequence[Equation]
) -> dict[str, list[Piece]]:
    """Part every function at the statements that compute an equation.

    An equation is computed by the first statement, of the rule or else of a function that it calls,
    which gives a symbol it defines a new value, if that statement does not compute an equation
    before it for the same symbol. The last equation of what a rule returns is computed by its
    return, if that computes anything. An equation that is computed nowhere is left out: it stands
    above, with the others.

    Args:
        functions: The functions by name, in the order of the file.
        equations: The equations in the order of the page.
    """
    found: dict[tuple[str, int], list[Equation]] = {}
    for equation, at in _returned(functions, equations).items():
        found.setdefault(at, []).append(equation)
    given = {equation for some in found.values() for equation in some}
    for equation in equations:
        keys = {_KEYS[name] for name in equation.names if name in _KEYS}
        places = [at for names in (equation.names, keys) for at in _changing(functions, names)]
        free = [at for at in places if not _defined(found.get(at, ())) & equation.names]
        if equation not in given and places:
            found.setdefault((free or places)[0], []).append(equation)
    for equation in equations:
        place = _beginning(functions, equation, found) if equation.first else None
        if place is not None:
            found.setdefault(place, []).append(equation)
    for some in found.values():
        some.sort(key=list(equations).index)
    return {name: list(_pieces(function, name, found)) for name, function in functions.items()}


def _changing(
    functions: Mapping[str, ast.FunctionDef], names: Collection[str]
) -> Iterator[tuple[str, int]]:
    """Yield where the rule, and then what it calls, gives something a new value."""
    order = [name for name in RULES if name in functions]
    order += [name for name in functions if name not in order and not name.startswith("__")]
    for name in order:
        if name != "init_state":
            for position, statement in enumerate(body_of(functions[name])):
                if changed_by(statement) & set(names) and not hands_on(statement, functions):
                    yield name, position


def _defined(equations: Iterable[Equation]) -> set[str]:
    return {name for equation in equations for name in equation.names}


def _beginning(
    functions: Mapping[str, ast.FunctionDef],
    equation: Equation,
    found: Mapping[tuple[str, int], Sequence[Equation]],
) -> tuple[str, int] | None:
    """Return where a symbol gets its first value: with the state, or else where it changes.

    What comes of a gradient does not come with the state, which begins before there is one.
    """
    variables = {k: v for function in functions.values() for k, v in entries_of(function).items()}
    keys = {key for key, variable in variables.items() if variable in equation.first}
    if "init_state" in functions and "g_" not in equation.latex:
        for position, statement in enumerate(body_of(functions["init_state"])):
            if changed_by(statement) & keys:
                return "init_state", position
    places = list(_changing(functions, keys))
    places += [at for at, some in found.items() if _defined(some) & equation.first]
    return next(iter(places), None)


def _returned(
    functions: Mapping[str, ast.FunctionDef], equations: Sequence[Equation]
) -> dict[Equation, tuple[str, int]]:
    """Return where the equations stand that a `return` computes."""
    found: dict[Equation, tuple[str, int]] = {}
    for rule, words in _RETURNS.items():
        name = rule
        while name in functions and hands_on(functions[name].body[-1], functions.keys() - {name}):
            name = ast.unparse(functions[name].body[-1]).split("self.")[1].split("(")[0]
        defining = [e for e in equations if e.names & set(words)]
        defining = defining or [e for e in equations if e.names & set(_ELSE.get(rule, ()))]
        if name not in functions or not defining or defining[-1] in found:
            continue
        at = _of_return(body_of(functions[name]), defining[-1], equations)
        if at is not None:
            found[defining[-1]] = name, at
    return found


def _of_return(
    body: Sequence[ast.stmt], equation: Equation, equations: Sequence[Equation]
) -> int | None:
    """Return which statement computes what is returned; None if that is found by its name."""
    match body[-1]:
        case ast.Return(value=ast.Name(id=name)) if name not in equation.names:
            if any(name in each.names for each in equations):
                return len(body) - 1  # the value of another symbol
            changes = [at for at, statement in enumerate(body) if name in changed_by(statement)]
            return changes[-1] if changes else None
        case ast.Return(value=ast.expr() as value) if not _mentions(value, equation, body):
            return len(body) - 1
    return None


def _mentions(value: ast.expr, equation: Equation, body: Sequence[ast.stmt]) -> bool:
    """Tell whether a symbol of the equation was computed before the value, which then uses it."""
    used = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    computed = {name for statement in body for name in changed_by(statement)}
    return isinstance(value, ast.Name) or bool(used & computed & equation.names)


def _pieces(
    function: ast.FunctionDef, name: str, found: dict[tuple[str, int], list[Equation]]
) -> Iterator[Piece]:
    first = min([function.lineno, *(node.lineno for node in function.decorator_list)])
    equations: tuple[Equation, ...] = ()
    statements = body_of(function)
    for position in range(len(statements)):
        own = tuple(found.get((name, position), ()))
        if own and position:
            start = (statements[position - 1].end_lineno or 0) + 1
            yield Piece(first, start - 1, equations)
            first, equations = start, own
        elif own:
            equations = own
    yield Piece(first, function.end_lineno or first, equations)

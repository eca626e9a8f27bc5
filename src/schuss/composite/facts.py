"""The facts by which a route decides about a parameter: names, shape, and roles in the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor, nn

from schuss.composite.heads import heads_in
from schuss.composite.roles import Roles, places_in, roles_of, shared_names

Named: TypeAlias = tuple[str, Tensor]


class Fact(NamedTuple):
    """One parameter, and what is known of it.

    Attributes:
        param: The parameter.
        names: Its names in the model, more than one if modules share it; none if nobody told.
        roles: Why it has which role, by the name of the role; None without a model.
    """

    param: Tensor
    names: Sequence[str]
    roles: Mapping[str, str] | None

    @property
    def told(self) -> str:
        """The parameter in a message: its name, or else its shape."""
        shape = f"shape {tuple(self.param.shape)}"
        return f"{self.names[0]!r} of {shape}" if self.names else f"a parameter of {shape}"


def facts_of(params: nn.Module | Iterable[Any]) -> list[Fact]:
    """Return the facts about the trainable parameters of a model, or about given parameters.

    Raises:
        TypeError: There is something else than parameters, with or without a name.
    """
    if isinstance(params, nn.Module):
        return _facts_in(params)
    facts = []
    for each in params:
        name, param = each if isinstance(each, tuple) and len(each) == 2 else ("", each)
        if not isinstance(param, Tensor) or not isinstance(name, str):
            raise TypeError(
                f"Composite was given {type(each).__name__} among the parameters; give it a model, "
                "parameters, pairs of a name and a parameter, or dictionaries"
            )
        facts.append(Fact(param, [name] if name else [], None))
    return facts


def frozen_in(params: Any) -> list[str]:
    """Return the names of the parameters of a model that need no gradient, and so have no facts."""
    named = params.named_parameters() if isinstance(params, nn.Module) else ()
    return [name for name, param in named if not param.requires_grad]


def _facts_in(model: nn.Module) -> list[Fact]:
    names: dict[int, list[str]] = {}
    for name, param in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(param), []).append(name)
    roles = _roles_in(model)
    return [
        Fact(param, names[id(param)], roles[id(param)])
        for param in model.parameters()
        if param.requires_grad
    ]


def _roles_in(model: nn.Module) -> dict[int, Roles]:
    """Return the roles of all parameters, by the identity of the parameter."""
    places, root = places_in(model), _unwrapped(model)
    heads = heads_in(root, places)
    found: dict[int, Roles] = {}
    for place in places:
        roles = found.setdefault(id(place.param), {})
        inside = [why for head, why in heads.items() if f"{place.path}.".startswith(f"{head}.")]
        if inside:
            roles.setdefault("head", inside[0])
        for role, reason in roles_of(place, root).items():
            roles.setdefault(role, reason)
    for place, other in shared_names(places):
        roles = found[id(place.param)]
        roles["tied"] = f"also {other}"
        if "embedding" in roles:
            roles["embedding"] += f", also {other}"
    return found


def _unwrapped(model: nn.Module) -> nn.Module:
    """Return the model that torch.compile or a wrapper for several devices has around itself."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    inner = model.module if isinstance(model, wrappers) else getattr(model, "_orig_mod", None)
    return _unwrapped(inner) if isinstance(inner, nn.Module) else model


def matrix_sides(fact: Fact) -> tuple[int, int]:
    """Return the sides of a parameter as a matrix.

    A tensor of experts is a matrix in its last two dimensions. Another one has the first dimension
    for its rows, and all others together for its columns.
    """
    shape = fact.param.shape
    if fact.roles is not None and "experts" in fact.roles:
        return shape[-2], shape[-1]
    rows = shape[0] if shape else 1
    return rows, fact.param.numel() // max(1, rows)

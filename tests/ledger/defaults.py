"""Where a reference has other defaults than ours: read off both constructors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import schuss
from tests.ledger.row import Row

OF_NO_RULE = {"foreach", "fused", "differentiable", "capturable", "maximize", "log_every"}
SPELLED = {
    "weight_decouple": "decoupled_weight_decay",
    "decouple": "decoupled_weight_decay",
    "learning_rate": "lr",
    "b1": "betas[0]",
    "b2": "betas[1]",
    "beta1": "betas[0]",
    "beta2": "betas[1]",
    "gamma": "kappa",
}
"""What other libraries call a hyper-parameter of ours."""


def other_defaults(row: Row) -> str:
    """Return the defaults of the reference that differ from ours, as `lr 0.01, ours 0.1`."""
    reference = next(_called(row.reference), None)
    if row.package is None or reference is None:
        return ""
    (info,) = schuss.list_optimizers(row.algorithm)
    ours = dict(_defaults(info.cls))
    found = []
    for name, theirs in _defaults(reference):
        key = name if name in ours else SPELLED.get(name, name)
        if key in ours and "[" not in name and key not in OF_NO_RULE and ours[key] != theirs:
            found.append(f"{name} {_shown(theirs)}, ours {_shown(ours[key])}")
    return "; ".join(found)


def _called(create: Any) -> Iterator[Callable[..., Any]]:
    """Yield the functions and classes of packages that creating an optimizer leads to."""
    if isinstance(create, partial):
        for each in (create.func, *create.args, *create.keywords.values()):
            yield from _called(each)
    elif callable(create) and not getattr(create, "__module__", "tests").startswith("tests"):
        yield create


def _defaults(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    for name, parameter in inspect.signature(function).parameters.items():
        default = parameter.default
        if isinstance(default, (tuple, list)) and name == "betas":
            yield "betas", tuple(default)
            yield from ((f"betas[{index}]", rate) for index, rate in enumerate(default))
        elif isinstance(default, (bool, int, float, str, type(None), tuple)):
            yield name, default


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

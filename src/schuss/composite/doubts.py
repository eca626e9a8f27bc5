"""Decisions of a route that look wrong, for the table of routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from torch import Tensor

from schuss.composite.facts import matrix_sides
from schuss.composite.heads import GUESSED
from schuss.composite.predicates import NAMED
from schuss.composite.usual import HIDDEN, VIEWS
from schuss.matrices.shapes import DIMS

if TYPE_CHECKING:
    from schuss.composite.deciding import Decision
    from schuss.composite.facts import Fact
    from schuss.optimizer import Optimizer

_NO_MATRICES: Final = ("embedding", "head", "norm", "router", "bias")
"""Roles of parameters that optimizers for matrices are not for."""

_FUSED: Final = ("qkv", "c_attn", "in_proj", "query_key_value", "kv_proj")
"""Usual names of layers that compute query, key and value at once."""


def doubts_about(
    decisions: Mapping[Tensor, Decision], parts: Mapping[str, Optimizer]
) -> dict[Tensor, str]:
    """Return why decisions look wrong, by parameter, for those that do.

    A part is for matrices if it is called `hidden`, or if its optimizer has the hyper-parameter
    `matrices`. Without such a part there are no doubts.
    """
    with_views = {name for name, part in parts.items() if VIEWS in part.defaults}
    if not with_views and HIDDEN not in parts:
        return {}
    tables = [d.fact for d in decisions.values() if "embedding" in (d.fact.roles or {})]
    counts = {fact.param.shape[0]: fact.names[0] for fact in tables if fact.param.ndim == 2}
    found = {}
    for param, decision in decisions.items():
        if decision.part in {*with_views, HIDDEN}:
            doubt = _in_matrices(decision.fact, counts)
            if not doubt and decision.part in with_views:
                doubt = _about_views(decision)
        else:
            doubt = _in_others(decision)
        if doubt:
            found[param] = doubt
    return found


def _in_matrices(fact: Fact, counts: Mapping[int, str]) -> str:
    roles = fact.roles or {}
    for role in _NO_MATRICES:
        if role in roles:
            return f"{roles[role]}: no matrix within the model"
    if fact.param.ndim < 2:
        return "no matrix"
    rows, columns = matrix_sides(fact)
    if rows == max(counts, default=0) and rows > columns:
        return f"as many rows as {counts[rows]!r} has, as an output layer would have"
    return ""


def _about_views(decision: Decision) -> str:
    """Return whether a matrix consists of others, or is transposed, and nothing says so."""
    fact, view = decision.fact, decision.options.get(VIEWS)
    if fact.param.ndim != 2:
        return ""
    rows, columns = fact.param.shape
    is_transposed = "transposed" in (fact.roles or {})
    inputs, outputs = (rows, columns) if is_transposed else (columns, rows)
    is_fused = outputs == 3 * inputs and any(part in n for n in fact.names for part in _FUSED)
    if is_fused and (view is None or view[0] == DIMS):
        option = "Heads(3, dim=1)" if is_transposed else "Heads(3)"
        return f"query, key and value are one matrix; matrices={option} makes it three"
    if is_transposed and view is None:
        return "outputs are in the last dimension; matrices=Dims(rows=(1,), cols=(0,)) says so"
    return ""


def _in_others(decision: Decision) -> str:
    fact, roles = decision.fact, decision.fact.roles
    is_named = decision.reason.startswith(NAMED)  # by somebody who knows
    if roles is None or is_named or fact.param.ndim < 2 or fact.param.shape[0] == 1:
        return ""
    if roles.get("head") == GUESSED:
        return GUESSED
    if not roles.keys() - {"tied"}:
        return "of no known layer, so that nothing tells whether it is a matrix within the model"
    if roles.keys() & {*_NO_MATRICES, "depthwise"} or min(matrix_sides(fact)) < 4:
        return ""
    rows, columns = matrix_sides(fact)
    return f"{rows} by {columns}, {decision.reason}"

"""Decisions of a route that look wrong, for the table of routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from torch import Tensor

from schuss.composite.facts import matrix_sides
from schuss.composite.heads import GUESSED
from schuss.composite.usual import HIDDEN

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
    `matrices`.
    """
    for_matrices = {k for k, p in parts.items() if k == HIDDEN or "matrices" in p.defaults}
    if not for_matrices:
        return {}
    tables = [d.fact for d in decisions.values() if "embedding" in (d.fact.roles or {})]
    counts = {fact.param.shape[0]: fact.names[0] for fact in tables if fact.param.ndim == 2}
    found = {}
    for param, decision in decisions.items():
        if decision.part in for_matrices:
            doubt = _in_matrices(decision, counts)
        else:
            doubt = _in_others(decision)
        if doubt:
            found[param] = doubt
    return found


def _in_matrices(decision: Decision, counts: Mapping[int, str]) -> str:
    fact, roles = decision.fact, decision.fact.roles or {}
    for role in _NO_MATRICES:
        if role in roles:
            return f"{roles[role]}, and no matrix within the model"
    if fact.param.ndim < 2:
        return "no matrix"
    rows, columns = matrix_sides(fact)
    largest = max(counts, default=0)
    if rows == largest and rows > columns:
        return f"as many rows as {counts[rows]!r} has, as an output layer would have"
    if "matrices" in decision.options:
        return ""
    if rows == 3 * columns and _is_fused(fact):
        return (
            "three times as many rows as columns, as query, key and value in one matrix; the "
            "hyper-parameter `matrices` can say so"
        )
    if columns == 3 * rows and "Conv1D" in roles.get("linear", "") and _is_fused(fact):
        return "query, key and value in one matrix, of inputs by outputs"
    return ""


def _is_fused(fact: Fact) -> bool:
    return any(part in name for name in fact.names for part in _FUSED)


def _in_others(decision: Decision) -> str:
    fact, roles = decision.fact, decision.fact.roles
    if roles is None or fact.param.ndim < 2 or 1 in fact.param.shape[:1]:
        return ""
    if roles.get("head") == GUESSED:
        return f"taken for the output layer, because it is {GUESSED}"
    if not roles.keys() - {"tied"}:
        return "no known layer, so that it cannot be told whether it is a matrix within the model"
    if roles.keys() & {*_NO_MATRICES, "depthwise"}:
        return ""
    rows, columns = matrix_sides(fact)
    return "" if min(rows, columns) < 4 else f"{rows} by {columns}, {decision.reason}"

"""Muon and its kin: those of torch and of a collection, and the papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytorch_optimizer
import torch

from tests.algorithms import MATRIX_SHAPES
from tests.ledger.row import EVERYTHING, STEADY, Row
from tests.ledger.transcription import Array, transcribed

# torch multiplies one matrix, and ours a stack of one; about 1 of 300 matrices of bfloat16 are
# rounded otherwise in a last place.
TOLERANCE = 1e-4
IN_BFLOAT16 = "products are in bfloat16 and in the ordinary form, as theirs are"
ORDINARY = {"form": "ordinary"}
DECAY = {"lr": 3e-2, "weight_decay": 0.3}
EXACT = {**DECAY, "precision": "float32"}
JORDAN = (3.4445, -4.7750, 2.0315)
MATRICES = replace(EVERYTHING, shapes=MATRIX_SHAPES)


def _row(options: str, **both: Any) -> Row:
    return Row(
        "muon",
        partial(torch.optim.Muon, **DECAY, **both),
        "Muon",
        {**DECAY, **ORDINARY, **both},
        "torch",
        options,
        MATRICES,
        tolerance=TOLERANCE,
        deviation=IN_BFLOAT16,
    )


def _collected(name: str, theirs: Any, ours: dict[str, Any], **options: Any) -> Row:
    """Return a row of a class that asks of each group whether it is of matrices."""

    def create(groups: Any) -> torch.optim.Optimizer:
        marked = [{**group, "use_muon": True} for group in groups]
        optimizer: torch.optim.Optimizer = theirs(marked, **DECAY, **options)
        return optimizer

    return Row(
        name,
        create,
        theirs.__name__,
        {**DECAY, **ORDINARY, **ours},
        "pytorch-optimizer",
        training=replace(STEADY, shapes=MATRIX_SHAPES),
        tolerance=TOLERANCE,
        deviation=IN_BFLOAT16,
    )


def newton_schulz(x: Array) -> Array:
    if x.shape[0] > x.shape[1]:
        transposed: Array = newton_schulz(x.T).T
        return transposed
    x = x / max(float(np.linalg.norm(x)), 1e-7)
    a, b, c = JORDAN
    for _ in range(5):
        gram = x @ x.T
        x = a * x + b * gram @ x + c * gram @ gram @ x
    return x


def _orthogonal(s: dict[str, Any], g: Array, of: Callable[[Array], Array] = newton_schulz) -> Array:
    s["m"] = 0.95 * s.get("m", 0 * g) + 0.05 * g
    return of(0.95 * s["m"] + 0.05 * g)


def _moved(x: Array, u: Array, h: dict[str, Any]) -> Array:
    moved: Array = x * (1 - h["lr"] * h["weight_decay"]) - h["lr"] * u
    return moved


def muon(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    return _moved(x, max(1, x.shape[0] / x.shape[1]) ** 0.5 * _orthogonal(s, g), h)


def normuon(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    o = _orthogonal(s, g)
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * (o * o).mean(axis=1, keepdims=True)
    u = o / (np.sqrt(s["v"]) + 1e-10)
    u = u * np.linalg.norm(o) / (np.linalg.norm(u) + 1e-10)
    return _moved(x, max(1, x.shape[0] / x.shape[1]) ** 0.5 * u, h)


def adamuon(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    o = _orthogonal(s, g, lambda b: newton_schulz(np.sign(b) if h["sign"] else b))
    s["v"] = 0.95 * s.get("v", 0) + 0.05 * o * o
    u = o / (np.sqrt(s["v"]) + 1e-8)
    return _moved(x, 0.2 * x.size**0.5 * u / (np.linalg.norm(u) + 1e-8), h)


def scion(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    rows, cols = x.shape
    s["m"] = 0.9 * s.get("m", 0 * g) + 0.1 * g
    m = s["m"]
    lmo = {
        "spectral": lambda: (rows / cols) ** 0.5 * newton_schulz(m),
        "sign": lambda: np.sign(m) / cols,
        "row": lambda: m / (np.linalg.norm(m, axis=1, keepdims=True) * cols**0.5 + 1e-8),
        "col": lambda: m / (np.linalg.norm(m, axis=0, keepdims=True) / rows**0.5 + 1e-8),
    }[h["norm"]]()
    moved: Array = (1 - h["lr"]) * x - h["lr"] * 3.0 * lmo
    return moved


def _scion(norm: str) -> Row:
    return Row(
        "scion",
        transcribed(scion, lr=3e-2, norm=norm),
        "Algorithm 2",
        {"lr": 3e-2, "momentum": 0.1, "scale": 3.0, "norm": norm, "precision": "float32"},
        options=f"exact, {norm}",
        training=MATRICES,
    )


def dion2(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    if x.shape[0] > x.shape[1]:
        raised: Array = dion2(s, x.T, g.T, t, {**h, "tall": True}).T
        return raised
    rows, cols = x.shape
    s["m"] = s.get("m", 0 * g) + g
    chosen = np.argsort(-np.abs(s["m"]).sum(axis=1))[: max(1, -(-rows * 2 // 5))]
    u = 0 * g
    u[chosen] = newton_schulz(s["m"][chosen])
    s["m"][chosen] *= 0.9
    return _moved(x, (cols / rows if h.get("tall") else rows / cols) ** 0.5 * u, h)


ROWS = [
    Row(
        "dion2",
        transcribed(dion2, **DECAY),
        "Algorithm 1",
        {**EXACT, "momentum": 0.9, "fraction": 0.4, "ns_coefficients": JORDAN},
        options="exact",
        training=MATRICES,
    ),
    *(_scion(norm) for norm in ("spectral", "sign", "row", "col")),
    _row("defaults"),
    _row("the scale of AdamW", adjust_lr_fn="match_rms_adamw"),
    _row(
        "no Nesterov, other coefficients",
        nesterov=False,
        ns_coefficients=(3.0, -3.2, 1.2),
        ns_steps=7,
    ),
    Row("muon", transcribed(muon, **DECAY), "the blog", EXACT, options="exact", training=MATRICES),
    _collected("normuon", pytorch_optimizer.NorMuon, {}),
    Row(
        "normuon",
        transcribed(normuon, **DECAY),
        "Algorithm 1",
        {**EXACT, "beta2": 0.9},
        options="exact",
        training=MATRICES,
    ),
    Row(
        "adamuon",
        transcribed(adamuon, **DECAY, sign=True),
        "Algorithm 1",
        EXACT,
        options="exact",
        training=MATRICES,
    ),
    Row(
        "adamuon",
        transcribed(adamuon, **DECAY, sign=False),
        "Algorithm 1",
        {**EXACT, "sign": False},
        options="exact, no signs",
        training=MATRICES,
    ),
]

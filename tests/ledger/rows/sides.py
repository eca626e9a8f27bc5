"""Shampoo and its kin: their papers, with the choices of their authors' code."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytorch_optimizer

from tests.algorithms import MATRIX_SHAPES
from tests.ledger.row import EVERYTHING, STEADY, Row
from tests.ledger.transcription import Array, transcribed

DECAY = {"lr": 3e-2, "weight_decay": 0.3}
# A side of fewer columns than rows has eigenvalues of 0 in the first step, and which vectors of
# their space an eigendecomposition takes is a matter of rounding.
SQUARES = ((4, 4), (3, 3), (1, 1), (5, 5), (2, 2))
OFTEN = {"precondition_frequency": 3}


def eigenvectors(side: Array) -> Array:
    vectors: Array = np.linalg.eigh(side)[1][:, ::-1]
    return vectors


def soap(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    for key, product in (("L", g @ g.T), ("R", g.T @ g)):
        s["new " + key] = 0.9 * s.get(key, 0 * product) + 0.1 * product
    x = x * (1 - h["lr"] * h["weight_decay"])
    if t == 1:
        s["L"], s["R"] = s["new L"], s["new R"]
        s["QL"], s["QR"] = eigenvectors(s["L"]), eigenvectors(s["R"])
        s["m"] = s["v"] = 0 * g
        return x
    turned = s["QL"].T @ g @ s["QR"]
    s["m"] = 0.95 * s["m"] + 0.05 * turned
    s["v"] = 0.9 * s["v"] + 0.1 * turned**2
    u = s["QL"] @ (s["m"] / (np.sqrt(s["v"]) + 1e-8)) @ s["QR"].T
    x = x - h["lr"] * np.sqrt(1 - 0.9 ** (t - 1)) / (1 - 0.95 ** (t - 1)) * u
    s["L"], s["R"] = s["new L"], s["new R"]
    if (t - 1) % 3 == 0:
        outside = s["QL"] @ s["m"] @ s["QR"].T
        for axis, (key, side) in enumerate((("QL", s["L"]), ("QR", s["R"]))):
            order = np.argsort(-np.diag(s[key].T @ side @ s[key]))
            s["v"] = s["v"].take(order, axis)
            s[key] = np.linalg.qr(side @ s[key][:, order])[0]
        s["m"] = s["QL"].T @ outside @ s["QR"]
    return x


def klshampoo(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    rows, cols = g.shape
    x = x * (1 - h["lr"] * h["weight_decay"])
    if t == 1:
        s.update(L=0.02 / cols * g @ g.T, R=0.02 / rows * g.T @ g, m=0 * g)
        s.update(QL=eigenvectors(s["L"]), QR=eigenvectors(s["R"]))
        s.update(dL=np.full(rows, 0.1), dR=np.full(cols, 0.1))
        return x
    s["m"] = 0.9 * s["m"] + 0.1 * g
    left = np.minimum(1 / np.sqrt(s["dL"]), max(10, rows))[:, None]
    right = np.minimum(1 / np.sqrt(s["dR"]), max(10, cols))[None]
    both = left * right
    both = both / (1 + both * 1e-8)
    u = s["QL"] @ ((s["QL"].T @ s["m"] @ s["QR"]) * both) @ s["QR"].T
    turned = s["QL"].T @ g @ s["QR"]
    of_left = g @ s["QR"] * right
    of_right = (s["QL"].T @ g) * left
    s["L"] = 0.98 * s["L"] + 0.02 / cols * of_left @ of_left.T
    s["R"] = 0.98 * s["R"] + 0.02 / rows * of_right.T @ of_right
    # Kept as inverse roots, so within their bounds.
    s["dL"] = 0.98 / left[:, 0] ** 2 + 0.02 * ((turned * right) ** 2).mean(axis=1)
    s["dR"] = 0.98 / right[0] ** 2 + 0.02 * ((turned * left) ** 2).mean(axis=0)
    if (t - 1) % 3 == 0:
        s["QL"], s["QR"] = np.linalg.qr(s["L"] @ s["QL"])[0], np.linalg.qr(s["R"] @ s["QR"])[0]
    return x - h["lr"] * u


def splus(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    rows, cols = x.shape
    if t == 1:
        s.update(m=0 * x, L=np.zeros((rows, rows)), R=np.zeros((cols, cols)))
        s.update(QL=np.eye(rows), QR=np.eye(cols))
    s["m"] = 0.9 * s["m"] + 0.1 * g
    u = s["QL"] @ np.sign(s["QL"].T @ s["m"] @ s["QR"]) @ s["QR"].T
    s["L"] = 0.999 * s["L"] + 0.001 * g @ g.T
    s["R"] = 0.999 * s["R"] + 0.001 * g.T @ g
    if t == 1 or t % 7 == 0:
        s["QL"], s["QR"] = eigenvectors(s["L"]), eigenvectors(s["R"])
    lr = h["lr"] * 2 / (rows + cols)
    moved: Array = x * (1 - lr * h["weight_decay"]) - lr * u
    return moved


def root(side: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(side)
    found: Array = vectors * (np.maximum(values, 0) + 1e-6) ** exponent @ vectors.T
    return found


def shampoo(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    beta2 = h["beta2"]
    s["m"] = 0.9 * s.get("m", 0 * g) + 0.1 * g
    for key, product in (("L", g @ g.T), ("R", g.T @ g)):
        share, kept = (1.0, 1.0) if beta2 == 1 else (1 - beta2, beta2)
        s[key] = kept * s.get(key, 0 * product) + share * product
        if (t - 1) % h["every"] == 0:
            correction = 1.0 if beta2 == 1 else 1 - beta2**t
            s["root " + key] = root(s[key] / correction, -1 / 4)
    m = s["m"] / (1 - 0.9**t)
    u = s["root L"] @ m @ s["root R"]
    if h["graft"]:
        u = u * np.linalg.norm(m) / np.linalg.norm(u)
    moved: Array = x * (1 - h["lr"] * h["weight_decay"]) - h["lr"] * u
    return moved


def _shampoo(options: str, ours: dict[str, Any], **theirs: Any) -> Row:
    settings = {"beta2": 1.0, "every": 1, "graft": False, **theirs}
    return Row(
        "shampoo",
        transcribed(shampoo, **DECAY, **settings),
        "Algorithm 1",
        {**DECAY, "eps": 1e-6, **ours},
        options=options,
        training=replace(EVERYTHING, shapes=MATRIX_SHAPES),
        tolerance32=1e-2,
        deviation="the mean of gradients is that of Distributed Shampoo",
    )


ROWS = [
    Row(
        "soap",
        partial(pytorch_optimizer.SOAP, lr=3e-2, weight_decay=0.0, precondition_frequency=3),
        "SOAP",
        {"lr": 3e-2, "weight_decay": 0.0, **OFTEN},
        "pytorch-optimizer",
        training=replace(STEADY, shapes=SQUARES),
        tolerance=1e-5,
        tolerance32=1e-3,
        deviation="theirs finds its bases in float32, and decays after the step",
    ),
    Row(
        "soap",
        transcribed(soap, **DECAY),
        "Algorithm 3",
        {**DECAY, **OFTEN, "betas": (0.95, 0.9)},
        options="every 3 steps",
        training=replace(EVERYTHING, shapes=SQUARES),
        tolerance32=1e-3,
    ),
    Row(
        "klshampoo",
        transcribed(klshampoo, **DECAY),
        "Algorithm 1",
        {**DECAY, **OFTEN},
        options="every 3 steps",
        training=replace(EVERYTHING, shapes=SQUARES),
        tolerance32=1e-3,
        deviation="with the bounds of the authors' code",
    ),
    Row(
        "splus",
        transcribed(splus, **DECAY),
        "Algorithm 1",
        {**DECAY, "inverse_every": 7},
        options="every 7 steps",
        training=replace(EVERYTHING, shapes=SQUARES),
        tolerance32=1e-1,
        deviation="a sign that rounding turns is a whole step, in float32",
    ),
    _shampoo("sums", {}),
    _shampoo("means", {"betas": (0.9, 0.95)}, beta2=0.95),
    _shampoo(
        "every 3 steps, grafted",
        {"precondition_frequency": 3, "graft": "sgd"},
        every=3,
        graft=True,
    ),
]

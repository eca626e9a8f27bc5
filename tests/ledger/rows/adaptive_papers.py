"""Adaptive moments with a twist, written down from their papers, and in pytorch-optimizer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import adam_atan2_pytorch
import numpy as np
import pytorch_optimizer

from tests.ledger.row import STEADY, Row
from tests.ledger.transcription import Array, PaperStep, transcribed

ADAPTIVE = {"lr": 3e-2, "betas": (0.9, 0.99)}


def _zeros(s: dict[str, Any], x: Array, *keys: str) -> tuple[Array, ...]:
    return tuple(s.setdefault(key, np.zeros_like(x)) for key in keys)


def yogi(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    b1, b2 = h["betas"]
    m, v = s.get("m", 0 * x), s.get("v", 1e-6 + 0 * x)
    s["m"] = m = b1 * m + (1 - b1) * g
    s["v"] = v = v - (1 - b2) * np.sign(v - g**2) * g**2
    moved: Array = x - h["lr"] * m / (np.sqrt(v) + 1e-3)
    return moved


def adopt(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    b1, b2 = h["betas"]
    if t == 1:
        s["v"], s["m"] = g**2, 0 * x
        return x
    unit = g / np.maximum(np.sqrt(s["v"]), 1e-6)
    s["m"] = b1 * s["m"] + (1 - b1) * np.clip(unit, -((t - 1) ** 0.25), (t - 1) ** 0.25)
    s["v"] = b2 * s["v"] + (1 - b2) * g**2
    moved: Array = x - h["lr"] * s["m"]
    return moved


def laprop(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    b1, b2 = h["betas"]
    m, v = _zeros(s, x, "m", "v")
    s["v"] = v = b2 * v + (1 - b2) * g**2
    s["m"] = m = b1 * m + (1 - b1) * g / (np.sqrt(v / (1 - b2**t)) + 1e-15)
    moved: Array = x - h["lr"] * m / (1 - b1**t)
    return moved


def ademamix(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    b1, b2, b3 = h["betas"]
    alpha, horizon = 5.0, h["horizon"]
    if horizon:
        share = min(t / horizon, 1.0)
        alpha *= share
        b3 = np.exp(np.log(b1) * np.log(b3) / ((1 - share) * np.log(b3) + share * np.log(b1)))
    m1, m2, v = _zeros(s, x, "m1", "m2", "v")
    s["m1"] = m1 = b1 * m1 + (1 - b1) * g
    s["m2"] = m2 = b3 * m2 + (1 - b3) * g
    s["v"] = v = b2 * v + (1 - b2) * g**2
    u = (m1 / (1 - b1**t) + alpha * m2) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
    moved: Array = x - h["lr"] * (u + 0.3 * x)
    return moved


def adan(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    b1, b2, b3 = h["betas"]
    m, d, n = _zeros(s, x, "m", "d", "n")
    change = g - s.get("g", g)
    s["g"] = g
    s["m"] = m = b1 * m + (1 - b1) * g
    s["d"] = d = b2 * d + (1 - b2) * change
    s["n"] = n = b3 * n + (1 - b3) * (g + b2 * change) ** 2
    step = (m / (1 - b1**t) + b2 * d / (1 - b2**t)) / (np.sqrt(n / (1 - b3**t)) + 1e-8)
    moved: Array = (x - h["lr"] * step) / (1 + 0.3 * h["lr"])
    return moved


def nadamw(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    b1, b2 = h["betas"]
    m, v = _zeros(s, x, "m", "v")
    s["m"] = m = b1 * m + (1 - b1) * g
    s["v"] = v = b2 * v + (1 - b2) * g**2
    ahead = (b1 * m + (1 - b1) * g) / (1 - b1**t)
    moved: Array = x - h["lr"] * (ahead / (np.sqrt(v / (1 - b2**t)) + 1e-8) + 0.3 * x)
    return moved


def signum(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    s["m"] = 0.9 * s.get("m", 0 * x) + 0.1 * g
    moved: Array = x - h["lr"] * (np.sign(s["m"]) + 0.3 * x)
    return moved


def _paper(
    name: str,
    step: PaperStep,
    source: str,
    ours: dict[str, Any],
    options: str = "defaults",
    **hyperparameters: Any,
) -> Row:
    return Row(name, transcribed(step, **hyperparameters), source, ours, options=options)


def _package(
    name: str, theirs: str, ours: dict[str, Any], options: str = "defaults", **more: Any
) -> Row:
    reference = partial(getattr(pytorch_optimizer, theirs), **ours, **more)
    return Row(name, reference, theirs, ours, "pytorch-optimizer", options, STEADY)


LR = {"lr": 3e-2}
DECAY = {**LR, "weight_decay": 0.3}
THREE = {**DECAY, "betas": (0.9, 0.999, 0.99)}
SCHEDULED = {**THREE, "t_alpha_beta3": 60}
UNCORRECTED = {**ADAPTIVE, "bias_correction": False}
ATAN2, ATAN2_PACKAGE = partial(adam_atan2_pytorch.AdamAtan2, **DECAY), "adam-atan2-pytorch"
AB = {"a": 1.0, "b": 2.0}

ROWS = [
    _paper("yogi", yogi, "Algorithm 2", UNCORRECTED, "no bias correction", **ADAPTIVE),
    _paper("adopt", adopt, "Algorithm 2, clipped", ADAPTIVE, **ADAPTIVE),
    replace(
        _package("adopt", "ADOPT", ADAPTIVE, clip_lambda=lambda step: (step - 1) ** 0.25),
        deviation="their bound is one step ahead of the paper's and the authors'; told otherwise",
    ),
    _paper("laprop", laprop, "Algorithm 1", ADAPTIVE, **ADAPTIVE),
    _paper("ademamix", ademamix, "Algorithm 1", THREE, **THREE, horizon=0),
    _paper("ademamix", ademamix, "Algorithm 1", SCHEDULED, "scheduled", **THREE, horizon=60),
    _package("ademamix", "AdEMAMix", THREE, weight_decouple=True),
    _paper("adan", adan, "Algorithm 1, bias corrected", DECAY, **LR, betas=(0.98, 0.92, 0.99)),
    _package("adan", "Adan", DECAY),
    _paper(
        "nadamw", nadamw, "the AlgoPerf baseline", {**ADAPTIVE, "weight_decay": 0.3}, **ADAPTIVE
    ),
    _paper("signum", signum, "Algorithm 2", DECAY, **LR),
    _package("signum", "SignSGD", DECAY),
    _package("signum", "SignSGD", {**DECAY, "momentum": 0.0}, "no momentum"),
    _package("tiger", "Tiger", DECAY),
    replace(
        _package("yogi", "Yogi", {**DECAY, "initial_accumulator": 0.0}, "from zero"),
        deviation="where they do not start at zero, theirs starts the first moment there as well",
    ),
    Row("adamatan2", ATAN2, "AdamAtan2", DECAY, ATAN2_PACKAGE),
    Row("adamatan2", partial(ATAN2, **AB), "AdamAtan2", {**DECAY, **AB}, ATAN2_PACKAGE, "a and b"),
]

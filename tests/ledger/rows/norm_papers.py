"""Optimizers that look at norms, and some others, written down from their papers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import dog
import madgrad
import numpy as np
import pytorch_optimizer
import torch

from schuss import WeightDecay
from tests.conformance.trajectories import Training
from tests.ledger.row import STEADY, Row
from tests.ledger.transcription import Array, PaperStep, transcribed

DECAY = 0.3


def _moments(s: dict[str, Any], x: Array, g: Array, betas: tuple[float, float]) -> tuple[Any, Any]:
    b1, b2 = betas
    s["m"] = b1 * s.get("m", 0 * x) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0 * x) + (1 - b2) * g**2
    return s["m"], s["v"]


def _norm(x: Array) -> float:
    return float(np.sqrt((x**2).sum()))


def lamb(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    m, v = _moments(s, x, g, (0.9, 0.999))
    r = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6) + DECAY * x
    moved: Array = x - h["lr"] * _norm(x) / _norm(r) * r
    return moved


def lars(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    local = 0.1 * _norm(x) / (_norm(g) + DECAY * _norm(x))
    s["b"] = 0.9 * s.get("b", 0 * x) + h["lr"] * local * (g + DECAY * x)
    moved: Array = x - s["b"]
    return moved


def stableadamw(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    b1 = 0.9 * (1 - 0.9 ** (t - 1)) / (1 - 0.9**t)
    b2 = 0.99 * (1 - 0.99 ** (t - 1)) / (1 - 0.99**t)
    m, v = _moments(s, x, g, (b1, b2))
    rms = np.sqrt((g**2 / np.maximum(v, 1e-6**2)).mean())
    lr = h["lr"] / max(1.0, float(rms))
    moved: Array = x - lr * DECAY * x - lr * m / (np.sqrt(v) + 1e-6)
    return moved


def novograd(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    square = float((g**2).sum())
    s["v"] = square if t == 1 else 0.98 * s["v"] + 0.02 * square
    s["m"] = 0.95 * s.get("m", 0 * x) + (g / (np.sqrt(s["v"]) + 1e-8) + DECAY * x)
    moved: Array = x - h["lr"] * s["m"]
    return moved


def mars(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    c = g
    everything = x.ndim == 2 or h["optimize_1d"] or (x.ndim > 2 and not h["matrices_only"])
    if everything:
        c = g + 0.025 * 0.95 / 0.05 * (g - s.get("g", 0 * g))
        c = c / max(1.0, _norm(c))
    s["g"] = g
    b1, b2 = (0.95, 0.99) if everything else (0.9, 0.95)
    m, v = _moments(s, x, c, (b1, b2))
    u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
    rate, decay = (1.0, DECAY) if everything else (h["lr_1d_factor"], h["weight_decay_1d"])
    moved: Array = x - rate * h["lr"] * (u + decay * x)
    return moved


def tiger(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    s["m"] = 0.965 * s.get("m", 0 * x) + 0.035 * g
    rate, decay = (0.5, 0.0) if x.ndim < 2 else (np.sqrt((x**2).mean()), DECAY)
    moved: Array = x - rate * h["lr"] * (np.sign(s["m"]) + decay * x)
    return moved


def adamc(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    m, v = _moments(s, x, g, (0.9, 0.999))
    u = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    moved: Array = x - h["lr"] * u - h["lr"] ** 2 / h["initial_lr"] * DECAY * x
    return moved


def rmsproptf(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    s["v"] = 0.9 * s.get("v", 1 + 0 * x) + 0.1 * g**2
    s["b"] = 0.5 * s.get("b", 0 * x) + h["lr"] * g / np.sqrt(s["v"] + 1e-10)
    moved: Array = x - s["b"]
    return moved


def ldog(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    start = s.setdefault("x0", x)
    r = 1e-2 * (1 + _norm(x)) if t == 1 else max(s["r"], _norm(x - start))
    s["r"], s["G"] = r, s.get("G", 1e-8) + float((g**2).sum())
    moved: Array = x - h["lr"] * r / np.sqrt(s["G"]) * g
    return moved


def asgd(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    rate = h["lr"] / (1 + 0.1 * h["lr"] * (t - 1)) ** 0.75
    moved: Array = x - rate * (g + 0.1 * x)
    return moved


def _paper(
    name: str, step: PaperStep, source: str, ours: dict[str, Any], deviation: str = ""
) -> Row:
    return Row(name, transcribed(step, lr=3e-2), source, {"lr": 3e-2, **ours}, deviation=deviation)


OF_VECTORS = {"optimize_1d": False, "lr_1d_factor": 1.0, "weight_decay_1d": DECAY}


def _mars(options: str, source: str = "MARS-AdamW, approximate", **both: Any) -> Row:
    both = {**OF_VECTORS, "matrices_only": False, **both}
    reference = transcribed(mars, lr=3e-2, **both)
    return Row(
        "mars", reference, source, {"lr": 3e-2, "weight_decay": DECAY, **both}, None, options
    )


def _normalized(theirs: Any, params: Any, **setting: Any) -> torch.optim.Optimizer:
    optimizer = theirs(params, foreach=False, **setting)
    optimizer.apply_ams_bound = partial(optimizer.apply_ams_bound, exp_avg_sq_eps=0.0)
    for group in optimizer.param_groups:
        group["normalized"] = True  # of layers that a normalization follows, which is all here
    created: torch.optim.Optimizer = optimizer
    return created


CORRECTED = {"lr": 3e-2, "weight_decay": DECAY}
# Their lr goes by the first group.
ONE_RATE = Training(steady=True)
DOG = {"reps_rel": 1e-2}
BOUNDS = {"lr": 3e-2, "etas": (0.7, 1.1), "step_sizes": (1e-3, 0.5)}


def _madgrad(options: str, momentum: float, eps: float) -> Row:
    both = {"lr": 3e-2, "momentum": momentum, "eps": eps}
    reference = partial(madgrad.MADGRAD, **both, weight_decay=DECAY, decouple_decay=True)
    ours = {**both, "weight_decay": WeightDecay(DECAY)}
    return Row("madgrad", reference, "MADGRAD", ours, "madgrad", options, STEADY)


ROWS = [
    _paper("lamb", lamb, "Algorithm 2", {"weight_decay": DECAY}),
    Row(
        "lars",
        transcribed(lars, lr=3e-2),
        "Algorithm 1",
        {"lr": 3e-2, "trust_coefficient": 0.1, "weight_decay": DECAY, "eps": 0.0},
        training=ONE_RATE,
        deviation="the rate is outside of the buffer, as in torch's SGD; it is constant here",
    ),
    _paper("stableadamw", stableadamw, "Algorithm 2", {"weight_decay": DECAY}),
    _paper(
        "novograd",
        novograd,
        "Algorithm 1",
        {"weight_decay": DECAY},
        deviation="the mean of squares begins with the first gradient that is not zero",
    ),
    _mars("defaults", optimize_1d=False),
    _mars("vectors too", optimize_1d=True),
    _mars(
        "matrices only",
        "the authors' MARS",
        matrices_only=True,
        lr_1d_factor=0.5,
        weight_decay_1d=0.1,
    ),
    Row(
        "tiger",
        transcribed(tiger, lr=3e-2),
        "the author's Tiger",
        {"lr": 3e-2, "weight_decay": DECAY, "layer_adaptive": True},
        options="layers adapted",
    ),
    _paper("adamc", adamc, "equation 8", {"weight_decay": DECAY}),
    _paper("asgd", asgd, "Bottou's rates", {"lambd": 0.1}),
    _paper("rmsproptf", rmsproptf, "TensorFlow 1", {"momentum": 0.5, "alpha": 0.9}),
    Row("ldog", transcribed(ldog, lr=1.0), "the layer-wise form", DOG, training=ONE_RATE),
    Row("ldog", partial(dog.LDoG, **DOG), "LDoG", DOG, "dog-optimizer", training=ONE_RATE),
    Row(
        "adamc",
        partial(_normalized, pytorch_optimizer.AdamC, **CORRECTED),
        "AdamC",
        {**CORRECTED, "optimized_update": True},
        "pytorch-optimizer",
        "optimized update",
        training=STEADY,
        deviation="theirs adds 1e-15 to the second moment; told otherwise",
    ),
    Row("dog", partial(dog.DoG, **DOG), "DoG", DOG, "dog-optimizer", training=ONE_RATE),
    Row(
        "dog",
        partial(dog.DoG, weight_decay=DECAY, **DOG),
        "DoG",
        {"weight_decay": DECAY, **DOG},
        "dog-optimizer",
        "decay added",
        training=ONE_RATE,
    ),
    Row(
        "madgrad",
        partial(madgrad.MADGRAD, lr=3e-2, weight_decay=DECAY),
        "MADGRAD",
        {"lr": 3e-2, "weight_decay": DECAY},
        "madgrad",
        training=STEADY,
    ),
    Row(
        "madgrad",
        partial(madgrad.MADGRAD, lr=3e-2, momentum=0.0),
        "MADGRAD",
        {"lr": 3e-2, "momentum": 0.0},
        "madgrad",
        "no momentum",
        STEADY,
    ),
    _madgrad("decoupled", 0.9, 0.0),
    replace(
        _madgrad("decoupled, no momentum", 0.0, 1e-12),
        deviation="theirs adds its stabilizer to the rate of the decay as well",
    ),
    Row("rprop", partial(torch.optim.Rprop, lr=3e-2), "Rprop", {"lr": 3e-2}, "torch"),
    Row("rprop", partial(torch.optim.Rprop, **BOUNDS), "Rprop", BOUNDS, "torch", "other bounds"),
    Row(
        "asgd",
        partial(torch.optim.ASGD, lr=3e-2, weight_decay=DECAY, lambd=1e-2, t0=20),
        "ASGD",
        {"lr": 3e-2, "weight_decay": DECAY, "lambd": 1e-2, "t0": 20},
        "torch",
        training=Training(),
        tolerance=1e-7,
        deviation="theirs rounds its rates to float32, and a schedule would act a step later",
    ),
]

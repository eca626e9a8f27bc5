"""The schedules of labml's classes, and the papers that these are of."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from labml_nn.optimizers.adam_warmup import AdamWarmup
from labml_nn.optimizers.adam_warmup_cosine_decay import AdamWarmupCosineDecay
from labml_nn.optimizers.noam import Noam

from tests.ledger.row import Row
from tests.ledger.transcription import Array, PaperStep, transcribed

WARMUP, TOTAL, WIDTH = 20, 80, 16
ADAM = {"betas": (0.9, 0.99), "eps": 1e-8}
THEIRS = {**ADAM, "optimized_update": True}
OFFSET = "their warm-up adds 1e-8 to every rate"


def adam(rate: Callable[[int], float]) -> PaperStep:
    """Return the step of Adam with a schedule, a factor of the learning rate."""

    def step(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
        s["m"] = 0.9 * s.get("m", 0 * x) + 0.1 * g
        s["v"] = 0.99 * s.get("v", 0 * x) + 0.01 * g**2
        m, v = s["m"] / (1 - 0.9**t), s["v"] / (1 - 0.99**t)
        moved: Array = x - h["lr"] * rate(t) * m / (np.sqrt(v) + 1e-8)
        return moved

    return step


def warmed_up(t: int) -> float:
    return min(1.0, t / WARMUP)


def one_cycle(t: int) -> float:
    if t < WARMUP:
        return t / WARMUP
    return max(0.1, (1 + math.cos(math.pi * min(1.0, (t - WARMUP) / (TOTAL - WARMUP)))) / 2)


def of_the_transformer(t: int) -> float:
    return float(WIDTH**-0.5 * min(t**-0.5, t * WARMUP**-1.5))


# labml's cosine rises again after its last step, so its training ends there.
SCHEDULES: dict[str, tuple[type, dict[str, Any], dict[str, Any], Callable[[int], float], str]] = {
    "adamwarmup": (AdamWarmup, {"warmup": WARMUP}, {}, warmed_up, "section 5.3, the warm-up"),
    "adamwarmupcosinedecay": (
        AdamWarmupCosineDecay,
        {"warmup": WARMUP, "total_steps": 100},
        {"warmup": WARMUP, "total_steps": TOTAL},
        one_cycle,
        "section 3, one cycle",
    ),
    "noam": (Noam, {"warmup": WARMUP, "d_model": WIDTH}, {}, of_the_transformer, "equation 3"),
}


def _rows() -> list[Row]:
    found = []
    for name, (cls, schedule, until, rate, source) in SCHEDULES.items():
        exact = name == "noam"
        found += [
            Row(
                name,
                partial(cls, lr=0.1, **schedule, **THEIRS),
                cls.__name__,
                {"lr": 0.1, **schedule, **THEIRS},
                "labml-nn",
                "optimized update",
                tolerance=1e-10 if exact else 1e-5,
                deviation="" if exact else OFFSET,
            ),
            Row(
                name,
                transcribed(adam(rate), lr=0.1),
                source,
                {"lr": 0.1, **(until or schedule), **ADAM},
            ),
        ]
    return found


ROWS = _rows()

"""A second opinion that shares no code with torch: optax, on JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import optax
from optax import contrib

from tests.conformance.trajectories import FLAT
from tests.ledger.optax_optim import of_optax
from tests.ledger.row import EVERYTHING, Row

LR = 3e-2
DECAY = {"weight_decay": 0.3}
NOTHING: Mapping[str, Any] = {}

CONSTANT = replace(EVERYTHING, scheduled=False)
AT_MOST_MATRICES = replace(EVERYTHING, shapes=FLAT)
NO_SCALARS = replace(EVERYTHING, shapes=((5, 3), (7,), (6,), (4, 6), (1, 1)))


def _row(
    name: str,
    theirs: Callable[..., Any],
    reference: Mapping[str, Any] = NOTHING,
    ours: Mapping[str, Any] = NOTHING,
    options: str = "defaults",
    **row: Any,
) -> Row:
    create = of_optax(theirs, LR, **reference)
    return Row(name, create, theirs.__name__, {"lr": LR, **ours}, "optax", options, **row)


def yogi(lr: float) -> optax.GradientTransformation:
    rule = optax.scale_by_yogi(eps=1e-3, initial_accumulator_value=0.0)
    return optax.chain(rule, optax.scale_by_learning_rate(lr))


ROWS = [
    _row(
        "adabelief",
        optax.adabelief,
        {"eps": 1e-8, "eps_root": 1e-8},
        {"eps": 1e-8, "rectify": False},
        "not rectified",
    ),
    _row(
        "adafactor",
        optax.adafactor,
        {"min_dim_size_to_factor": 1},
        {"relative_step": False, "eps_in_squares": True},
        "constant, of the paper's squares",
        training=AT_MOST_MATRICES,
        tolerance=1e-6,
        deviation="theirs computes its decay rates in float32",
    ),
    _row("adam", optax.adam),
    _row("adamw", optax.adamw, DECAY, DECAY),
    _row("adamax", optax.adamax),
    _row(
        "adan",
        optax.adan,
        {"b2": 0.5, "eps_root": 0.0},
        {"betas": (0.98, 0.5, 0.99)},
        "half of the difference",
        deviation="theirs weights differences by 1 - β₂; the paper and its authors by β₂, as ours",
    ),
    _row("ademamix", contrib.ademamix),
    _row("adopt", contrib.adopt),
    _row("lamb", optax.lamb, DECAY, DECAY, "decay"),
    _row(
        "lars",
        optax.lars,
        {"eps": 1e-8},
        options="no decay",
        training=CONSTANT,
        deviation="theirs takes the norm of a sum, of gradient and decay; the paper a sum of norms",
    ),
    _row("lion", optax.lion, DECAY, DECAY),
    _row(
        "novograd",
        optax.novograd,
        {**DECAY, "eps": 1e-8},
        {**DECAY, "betas": (0.9, 0.25)},
        "decay",
        training=CONSTANT,
    ),
    _row(
        "rmsproptf",
        optax.rmsprop,
        {"eps": 1e-10, "initial_scale": 1.0, "momentum": 0.5},
        {"momentum": 0.5},
        "momentum",
    ),
    _row("sm3", optax.sm3, ours={"eps": 1e-8}, training=NO_SCALARS),
    _row("yogi", yogi, ours={"initial_accumulator": 0.0}, options="from zero"),
]

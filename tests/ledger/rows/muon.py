"""Muon, beside that of torch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from tests.algorithms import MATRIX_SHAPES
from tests.ledger.row import EVERYTHING, Row

# torch multiplies one matrix, and ours a stack of one; about 1 of 300 matrices of bfloat16 are
# rounded otherwise in a last place.
TOLERANCE = 1e-4
DECAY = {"lr": 3e-2, "weight_decay": 0.3}


def _row(options: str, **both: Any) -> Row:
    return Row(
        "muon",
        partial(torch.optim.Muon, **DECAY, **both),
        "Muon",
        {**DECAY, **both},
        "torch",
        options,
        replace(EVERYTHING, shapes=MATRIX_SHAPES),
        tolerance=TOLERANCE,
        deviation="products are in bfloat16, as theirs are",
    )


ROWS = [
    _row("defaults"),
    _row("the scale of AdamW", adjust_lr_fn="match_rms_adamw"),
    _row(
        "no Nesterov, other coefficients",
        nesterov=False,
        ns_coefficients=(3.0, -3.2, 1.2),
        ns_steps=7,
    ),
]

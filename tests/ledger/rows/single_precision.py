"""bitsandbytes, whose optimizers compute in float32, and that without 8-bit state here."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from bitsandbytes.optim.adamw import AdamW32bit
from bitsandbytes.optim.lion import Lion32bit

from tests.ledger.row import EVERYTHING, Row

DECAY = {"lr": 3e-2, "weight_decay": 0.3}


def _row(name: str, theirs: type[torch.optim.Optimizer]) -> Row:
    create: Any = partial(theirs, **DECAY)
    return Row(
        name,
        create,
        theirs.__name__,
        DECAY,
        "bitsandbytes",
        training=EVERYTHING,
        tolerance=1e-4,
        deviation="theirs computes in float32",
    )


ROWS = [_row("adamw", AdamW32bit), _row("lion", Lion32bit)]

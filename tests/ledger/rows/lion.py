from __future__ import annotations

from functools import partial

import lion_pytorch

from tests.ledger.row import Row

SETTING = {"lr": 3e-2, "betas": (0.9, 0.99), "weight_decay": 0.3}
ROWS = [
    Row("lion", partial(lion_pytorch.Lion, **SETTING), "Lion", SETTING, "lion-pytorch"),
]

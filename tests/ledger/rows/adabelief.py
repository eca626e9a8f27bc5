from __future__ import annotations

from functools import partial
from typing import Any

import adabelief_pytorch

from tests.ledger.row import Row


def _row(options: str = "defaults", **hyperparameters: Any) -> Row:
    setting = {"lr": 3e-2, "weight_decay": 0.3, **hyperparameters}
    theirs = {("weight_decouple" if "decoupled" in k else k): v for k, v in setting.items()}
    reference = partial(adabelief_pytorch.AdaBelief, **theirs, print_change_log=False)
    # Float32 of either strays from float64 as far as the two from each other: g - m cancels.
    return Row(
        "adabelief", reference, "AdaBelief", setting, "adabelief-pytorch", options, tolerance32=1e-3
    )


ROWS = [
    _row(),
    _row("not rectified", rectify=False, eps=1e-8),
    _row("decay added", decoupled_weight_decay=False),
    _row("AMSGrad, not rectified", rectify=False, eps=1e-8, amsgrad=True),
    _row("waiting", degenerated_to_sgd=False),
]

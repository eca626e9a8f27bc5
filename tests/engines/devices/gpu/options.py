"""Options that optimizers are compared with on a GPU."""

from __future__ import annotations

from typing import Any

import torch

from schuss import EMA, Cautious, ClipByGlobalNorm, TrustRatio, WeightDecay
from schuss.storage.precision import HALF

PLAIN, TRANSFORMED = "plain", "cautious, trust"
OPTIONS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "decay, maximize": {"weight_decay": WeightDecay(0.3), "maximize": True},
    "master weights": {"weight_decay": WeightDecay(0.3), "master_weights": True},
    "24 bits": {"master_weights": 24},
    "kahan": {"rounding": "kahan"},
    "stochastic": {"weight_decay": WeightDecay(0.3), "rounding": "stochastic"},
    "clip, mean": {"transforms": [ClipByGlobalNorm(1.0), EMA(0.9)]},
    TRANSFORMED: {"transforms": [Cautious(), TrustRatio()]},
    "layouts": {},
    "edited state": {},
}
"""What is given to a constructor; the last two are done to parameters and state."""


def fits(option: str, dtype: torch.dtype) -> bool:
    """Tell whether an option changes something for parameters of a dtype."""
    if "rounding" in OPTIONS[option]:
        return dtype is torch.bfloat16
    return "master_weights" not in OPTIONS[option] or dtype in HALF

"""Options that optimizers are compared with on a GPU."""

from __future__ import annotations

from typing import Any

from schuss import EMA, Cautious, ClipByGlobalNorm, TrustRatio, WeightDecay

PLAIN, TRANSFORMED = "plain", "cautious, trust"
OPTIONS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "decay, maximize": {"weight_decay": WeightDecay(0.3), "maximize": True},
    "master weights": {"weight_decay": WeightDecay(0.3), "master_weights": True},
    "clip, mean": {"transforms": [ClipByGlobalNorm(1.0), EMA(0.9)]},
    TRANSFORMED: {"transforms": [Cautious(), TrustRatio()]},
    "layouts": {},
    "edited state": {},
}
"""What is given to a constructor; the last two are done to parameters and state."""

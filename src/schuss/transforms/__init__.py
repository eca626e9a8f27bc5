"""Transforms change a gradient, an update or a parameter around the rule of an optimizer.

But for weight decay, which every optimizer has, each is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from schuss.transforms.transform import Transform
from schuss.transforms.weight_decay import CorrectedDecay, InUpdate, L1Decay, WeightDecay

if TYPE_CHECKING:
    from schuss.transforms.accumulation import Accumulate
    from schuss.transforms.adaptive_clipping import ClipAdaptive
    from schuss.transforms.apollo import APOLLO, APOLLOMini
    from schuss.transforms.cautious import Cautious, CautiousDecay
    from schuss.transforms.centralization import GradientCentralization
    from schuss.transforms.clipping import ClipByGlobalNorm, ClipByNorm, ClipByValue, ClipUpdate
    from schuss.transforms.ema import EMA
    from schuss.transforms.finite import SkipNonFinite
    from schuss.transforms.galore import GaLore
    from schuss.transforms.grokfast import Grokfast
    from schuss.transforms.hyperball import Hyperball
    from schuss.transforms.lookahead import Lookahead
    from schuss.transforms.noise import GradientNoise
    from schuss.transforms.orthogonal import OrthogonalGradient
    from schuss.transforms.qk_clip import QKClip
    from schuss.transforms.sharpness import SAM
    from schuss.transforms.towards_start import DecayToStart
    from schuss.transforms.trust_ratio import TrustRatio

__all__ = [
    "APOLLO",
    "EMA",
    "SAM",
    "APOLLOMini",
    "Accumulate",
    "Cautious",
    "CautiousDecay",
    "ClipAdaptive",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "ClipUpdate",
    "CorrectedDecay",
    "DecayToStart",
    "GaLore",
    "GradientCentralization",
    "GradientNoise",
    "Grokfast",
    "Hyperball",
    "InUpdate",
    "L1Decay",
    "Lookahead",
    "OrthogonalGradient",
    "QKClip",
    "SkipNonFinite",
    "Transform",
    "TrustRatio",
    "WeightDecay",
]

_MODULES = {
    "APOLLO": "apollo",
    "APOLLOMini": "apollo",
    "Accumulate": "accumulation",
    "Cautious": "cautious",
    "CautiousDecay": "cautious",
    "ClipAdaptive": "adaptive_clipping",
    "ClipByGlobalNorm": "clipping",
    "ClipByNorm": "clipping",
    "ClipByValue": "clipping",
    "ClipUpdate": "clipping",
    "DecayToStart": "towards_start",
    "EMA": "ema",
    "GaLore": "galore",
    "GradientCentralization": "centralization",
    "GradientNoise": "noise",
    "Grokfast": "grokfast",
    "Hyperball": "hyperball",
    "Lookahead": "lookahead",
    "OrthogonalGradient": "orthogonal",
    "QKClip": "qk_clip",
    "SAM": "sharpness",
    "SkipNonFinite": "finite",
    "TrustRatio": "trust_ratio",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

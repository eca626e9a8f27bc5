"""Transforms change a gradient, an update or a parameter around the rule of an optimizer."""

from schuss.transforms.accumulation import Accumulate
from schuss.transforms.cautious import Cautious, CautiousDecay
from schuss.transforms.clipping import ClipByGlobalNorm, ClipByNorm, ClipByValue, ClipUpdate
from schuss.transforms.ema import EMA
from schuss.transforms.finite import SkipNonFinite
from schuss.transforms.grokfast import Grokfast
from schuss.transforms.lookahead import Lookahead
from schuss.transforms.noise import GradientNoise
from schuss.transforms.orthogonal import OrthogonalGradient
from schuss.transforms.sharpness import SAM
from schuss.transforms.towards_start import DecayToStart
from schuss.transforms.transform import Transform
from schuss.transforms.trust_ratio import TrustRatio
from schuss.transforms.weight_decay import L1Decay, WeightDecay

__all__ = [
    "EMA",
    "SAM",
    "Accumulate",
    "Cautious",
    "CautiousDecay",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "ClipUpdate",
    "DecayToStart",
    "GradientNoise",
    "Grokfast",
    "L1Decay",
    "Lookahead",
    "OrthogonalGradient",
    "SkipNonFinite",
    "Transform",
    "TrustRatio",
    "WeightDecay",
]

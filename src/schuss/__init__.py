"""schuss: optimizers for PyTorch, each written once, for one parameter."""

from typing import TYPE_CHECKING, Any

from schuss import optimizers, schedules
from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.engines import CohortExplanation, Explanation
from schuss.hyperparameters import Options
from schuss.optimizer import Optimizer
from schuss.registry import OptimizerInfo, create_optimizer, list_optimizers
from schuss.transforms import (
    EMA,
    SAM,
    Accumulate,
    Cautious,
    CautiousDecay,
    ClipByGlobalNorm,
    ClipByNorm,
    ClipByValue,
    ClipUpdate,
    DecayToStart,
    GradientNoise,
    Grokfast,
    L1Decay,
    Lookahead,
    OrthogonalGradient,
    SkipNonFinite,
    Transform,
    TrustRatio,
    WeightDecay,
)

if TYPE_CHECKING:
    from schuss.optimizers import (
        ADOPT,
        SGD,
        AdaBelief,
        Adadelta,
        Adagrad,
        Adam,
        AdamAtan2,
        Adamax,
        AdamW,
        AdamWarmup,
        AdamWarmupCosineDecay,
        Adan,
        AdEMAMix,
        AMSGrad,
        DAdaptAdam,
        DAdaptLion,
        DAdaptSGD,
        LaProp,
        Lion,
        NAdam,
        NAdamW,
        Noam,
        Prodigy,
        RAdam,
        RMSprop,
        Signum,
        Sophia,
        Tiger,
        Yogi,
    )

__version__ = "0.1.0"

__all__ = [
    "ADOPT",
    "EMA",
    "SAM",
    "SGD",
    "AMSGrad",
    "Accumulate",
    "AdEMAMix",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamAtan2",
    "AdamW",
    "AdamWarmup",
    "AdamWarmupCosineDecay",
    "Adamax",
    "Adan",
    "Cautious",
    "CautiousDecay",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "ClipUpdate",
    "CohortExplanation",
    "DAdaptAdam",
    "DAdaptLion",
    "DAdaptSGD",
    "DecayToStart",
    "Explanation",
    "GenericAdaptiveOptimizer",
    "GradientNoise",
    "Grokfast",
    "L1Decay",
    "LaProp",
    "Lion",
    "Lookahead",
    "NAdam",
    "NAdamW",
    "Noam",
    "Optimizer",
    "OptimizerInfo",
    "Options",
    "OrthogonalGradient",
    "Prodigy",
    "RAdam",
    "RMSprop",
    "Signum",
    "SkipNonFinite",
    "Sophia",
    "Tiger",
    "Transform",
    "TrustRatio",
    "WeightDecay",
    "Yogi",
    "__version__",
    "create_optimizer",
    "list_optimizers",
    "schedules",
]


def __getattr__(name: str) -> Any:
    if name not in optimizers.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(optimizers, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""schuss: optimizers for PyTorch, each written once, for one parameter."""

from typing import TYPE_CHECKING, Any

from schuss import optimizers, schedules, transforms
from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.engines import CohortExplanation, Explanation
from schuss.hyperparameters import Options
from schuss.optimizer import Optimizer
from schuss.registry import OptimizerInfo, create_optimizer, list_optimizers
from schuss.transforms import CorrectedDecay, InUpdate, L1Decay, Transform, WeightDecay

if TYPE_CHECKING:
    from schuss.optimizers import (
        ADOPT,
        ASGD,
        LAMB,
        LARS,
        MADGRAD,
        MARS,
        SGD,
        AdaBelief,
        Adadelta,
        Adagrad,
        AdaHessian,
        Adam,
        AdamAtan2,
        Adamax,
        AdamC,
        AdamW,
        AdamWarmup,
        AdamWarmupCosineDecay,
        AdamWScheduleFree,
        Adan,
        AdEMAMix,
        AMSGrad,
        DAdaptAdam,
        DAdaptLion,
        DAdaptSGD,
        DoG,
        LaProp,
        LDoG,
        Lion,
        NAdam,
        NAdamW,
        Noam,
        NovoGrad,
        Prodigy,
        RAdam,
        RAdamScheduleFree,
        RMSprop,
        RMSpropTF,
        Rprop,
        SGDScheduleFree,
        Signum,
        Sophia,
        SophiaH,
        StableAdamW,
        Tiger,
        Yogi,
    )
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
        Lookahead,
        OrthogonalGradient,
        SkipNonFinite,
        TrustRatio,
    )

__version__ = "0.1.0"

__all__ = [
    "ADOPT",
    "ASGD",
    "EMA",
    "LAMB",
    "LARS",
    "MADGRAD",
    "MARS",
    "SAM",
    "SGD",
    "AMSGrad",
    "Accumulate",
    "AdEMAMix",
    "AdaBelief",
    "AdaHessian",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamAtan2",
    "AdamC",
    "AdamW",
    "AdamWScheduleFree",
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
    "CorrectedDecay",
    "DAdaptAdam",
    "DAdaptLion",
    "DAdaptSGD",
    "DecayToStart",
    "DoG",
    "Explanation",
    "GenericAdaptiveOptimizer",
    "GradientNoise",
    "Grokfast",
    "InUpdate",
    "L1Decay",
    "LDoG",
    "LaProp",
    "Lion",
    "Lookahead",
    "NAdam",
    "NAdamW",
    "Noam",
    "NovoGrad",
    "Optimizer",
    "OptimizerInfo",
    "Options",
    "OrthogonalGradient",
    "Prodigy",
    "RAdam",
    "RAdamScheduleFree",
    "RMSprop",
    "RMSpropTF",
    "Rprop",
    "SGDScheduleFree",
    "Signum",
    "SkipNonFinite",
    "Sophia",
    "SophiaH",
    "StableAdamW",
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
    for package in (optimizers, transforms):
        if name in package.__all__:
            value = globals()[name] = getattr(package, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

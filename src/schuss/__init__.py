"""schuss: optimizers for PyTorch, each written once, for one parameter."""

from schuss import schedules
from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.engines import CohortExplanation, Explanation
from schuss.hyperparameters import Options
from schuss.optimizer import Optimizer
from schuss.optimizers import (
    SGD,
    AdaBelief,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AdamWarmup,
    AdamWarmupCosineDecay,
    AMSGrad,
    Lion,
    NAdam,
    Noam,
    RAdam,
    RMSprop,
    Sophia,
)
from schuss.registry import OptimizerInfo, create_optimizer, list_optimizers
from schuss.transforms import L1Decay, WeightDecay

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "AMSGrad",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "AdamWarmup",
    "AdamWarmupCosineDecay",
    "Adamax",
    "CohortExplanation",
    "Explanation",
    "GenericAdaptiveOptimizer",
    "L1Decay",
    "Lion",
    "NAdam",
    "Noam",
    "Optimizer",
    "OptimizerInfo",
    "Options",
    "RAdam",
    "RMSprop",
    "Sophia",
    "WeightDecay",
    "__version__",
    "create_optimizer",
    "list_optimizers",
    "schedules",
]

"""The algorithms, one a file."""

from schuss.optimizers.adabelief import AdaBelief
from schuss.optimizers.adam import Adam
from schuss.optimizers.adamw import AdamW
from schuss.optimizers.adamwarmup import AdamWarmup
from schuss.optimizers.adamwarmupcosinedecay import AdamWarmupCosineDecay
from schuss.optimizers.amsgrad import AMSGrad
from schuss.optimizers.nadam import NAdam
from schuss.optimizers.noam import Noam
from schuss.optimizers.radam import RAdam
from schuss.optimizers.sgd import SGD
from schuss.optimizers.sophia import Sophia

__all__ = [
    "SGD",
    "AMSGrad",
    "AdaBelief",
    "Adam",
    "AdamW",
    "AdamWarmup",
    "AdamWarmupCosineDecay",
    "NAdam",
    "Noam",
    "RAdam",
    "Sophia",
]

"""The algorithms, one a file."""

from schuss.optimizers.adabelief import AdaBelief
from schuss.optimizers.adadelta import Adadelta
from schuss.optimizers.adagrad import Adagrad
from schuss.optimizers.adam import Adam
from schuss.optimizers.adamax import Adamax
from schuss.optimizers.adamw import AdamW
from schuss.optimizers.adamwarmup import AdamWarmup
from schuss.optimizers.adamwarmupcosinedecay import AdamWarmupCosineDecay
from schuss.optimizers.amsgrad import AMSGrad
from schuss.optimizers.lion import Lion
from schuss.optimizers.nadam import NAdam
from schuss.optimizers.noam import Noam
from schuss.optimizers.radam import RAdam
from schuss.optimizers.rmsprop import RMSprop
from schuss.optimizers.sgd import SGD
from schuss.optimizers.sophia import Sophia

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
    "Lion",
    "NAdam",
    "Noam",
    "RAdam",
    "RMSprop",
    "Sophia",
]

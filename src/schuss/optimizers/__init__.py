"""The algorithms, one a file, each imported when it is asked for.

A class lives in the module that has its name, in lower case.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schuss.optimizers.adabelief import AdaBelief
    from schuss.optimizers.adadelta import Adadelta
    from schuss.optimizers.adafactor import Adafactor
    from schuss.optimizers.adagrad import Adagrad
    from schuss.optimizers.adahessian import AdaHessian
    from schuss.optimizers.adam import Adam
    from schuss.optimizers.adamatan2 import AdamAtan2
    from schuss.optimizers.adamax import Adamax
    from schuss.optimizers.adamc import AdamC
    from schuss.optimizers.adammini import AdamMini
    from schuss.optimizers.adamp import AdamP
    from schuss.optimizers.adamuon import AdaMuon
    from schuss.optimizers.adamw import AdamW
    from schuss.optimizers.adamwarmup import AdamWarmup
    from schuss.optimizers.adamwarmupcosinedecay import AdamWarmupCosineDecay
    from schuss.optimizers.adamwschedulefree import AdamWScheduleFree
    from schuss.optimizers.adan import Adan
    from schuss.optimizers.ademamix import AdEMAMix
    from schuss.optimizers.adopt import ADOPT
    from schuss.optimizers.amsgrad import AMSGrad
    from schuss.optimizers.asgd import ASGD
    from schuss.optimizers.came import CAME
    from schuss.optimizers.dadaptadam import DAdaptAdam
    from schuss.optimizers.dadaptlion import DAdaptLion
    from schuss.optimizers.dadaptsgd import DAdaptSGD
    from schuss.optimizers.dion2 import Dion2
    from schuss.optimizers.dog import DoG
    from schuss.optimizers.gpa import GPA
    from schuss.optimizers.klshampoo import KLShampoo
    from schuss.optimizers.lamb import LAMB
    from schuss.optimizers.laprop import LaProp
    from schuss.optimizers.lars import LARS
    from schuss.optimizers.ldog import LDoG
    from schuss.optimizers.lion import Lion
    from schuss.optimizers.madgrad import MADGRAD
    from schuss.optimizers.mars import MARS
    from schuss.optimizers.muon import Muon
    from schuss.optimizers.nadam import NAdam
    from schuss.optimizers.nadamw import NAdamW
    from schuss.optimizers.noam import Noam
    from schuss.optimizers.normuon import NorMuon
    from schuss.optimizers.novograd import NovoGrad
    from schuss.optimizers.prodigy import Prodigy
    from schuss.optimizers.psgdkron import PSGDKron
    from schuss.optimizers.radam import RAdam
    from schuss.optimizers.radamschedulefree import RAdamScheduleFree
    from schuss.optimizers.rmsprop import RMSprop
    from schuss.optimizers.rmsproptf import RMSpropTF
    from schuss.optimizers.rprop import Rprop
    from schuss.optimizers.scion import Scion
    from schuss.optimizers.sgd import SGD
    from schuss.optimizers.sgdp import SGDP
    from schuss.optimizers.sgdschedulefree import SGDScheduleFree
    from schuss.optimizers.shampoo import Shampoo
    from schuss.optimizers.signum import Signum
    from schuss.optimizers.sm3 import SM3
    from schuss.optimizers.soap import SOAP
    from schuss.optimizers.sophia import Sophia
    from schuss.optimizers.sophiah import SophiaH
    from schuss.optimizers.splus import SPlus
    from schuss.optimizers.stableadamw import StableAdamW
    from schuss.optimizers.tiger import Tiger
    from schuss.optimizers.yogi import Yogi

__all__ = [
    "ADOPT",
    "ASGD",
    "CAME",
    "GPA",
    "LAMB",
    "LARS",
    "MADGRAD",
    "MARS",
    "SGD",
    "SGDP",
    "SM3",
    "SOAP",
    "AMSGrad",
    "AdEMAMix",
    "AdaBelief",
    "AdaHessian",
    "AdaMuon",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamAtan2",
    "AdamC",
    "AdamMini",
    "AdamP",
    "AdamW",
    "AdamWScheduleFree",
    "AdamWarmup",
    "AdamWarmupCosineDecay",
    "Adamax",
    "Adan",
    "DAdaptAdam",
    "DAdaptLion",
    "DAdaptSGD",
    "Dion2",
    "DoG",
    "KLShampoo",
    "LDoG",
    "LaProp",
    "Lion",
    "Muon",
    "NAdam",
    "NAdamW",
    "Noam",
    "NorMuon",
    "NovoGrad",
    "PSGDKron",
    "Prodigy",
    "RAdam",
    "RAdamScheduleFree",
    "RMSprop",
    "RMSpropTF",
    "Rprop",
    "SGDScheduleFree",
    "SPlus",
    "Scion",
    "Shampoo",
    "Signum",
    "Sophia",
    "SophiaH",
    "StableAdamW",
    "Tiger",
    "Yogi",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{name.lower()}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

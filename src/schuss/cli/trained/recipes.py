"""How each optimizer is trained: the one place to extend when there is a new one.

The rates were chosen by `schuss trained --sweep`, on the digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

COSINE: Final = "cosine"


@dataclass(frozen=True)
class Recipe:
    """A learning rate, and what goes with it.

    Attributes:
        lr: Learning rate.
        options: Other hyper-parameters, as the command line takes them; `{steps}` is the number of
            all steps, and `{warmup}` a tenth of it.
        schedule: Schedule of the learning rate; for `COSINE`, a task may have it begin with a
            warm-up.
        is_swept: Whether the learning rate is one to choose.
    """

    lr: float
    options: str = ""
    schedule: str = COSINE
    is_swept: bool = True


def _own(lr: float, options: str = "") -> Recipe:
    """Return a recipe of an optimizer that makes a schedule unnecessary, or has its own."""
    return Recipe(lr, options, "constant")


def _free(options: str = "", schedule: str = COSINE) -> Recipe:
    """Return a recipe of an optimizer that finds its own learning rate."""
    return Recipe(1.0, options, schedule, is_swept=False)


def _inner(lr: float) -> Recipe:
    """Return a recipe of an optimizer for matrices, with AdamW for the rest of the network."""
    return Recipe(lr, "rest='adamw:lr=3e-3'")


RECIPES: Final[Mapping[str, Recipe]] = {
    "adabelief": Recipe(3e-2),
    "adadelta": Recipe(1.0),
    "adafactor": Recipe(9e-2),
    "adagrad": Recipe(1e-2),
    "adahessian": Recipe(3e-2),
    "adam": Recipe(3e-3),
    "adamatan2": Recipe(3e-3),
    "adamax": Recipe(6e-3),
    "adamc": Recipe(3e-3),
    "adammini": Recipe(3e-3),
    "adamp": Recipe(3e-3),
    "adamuon": _inner(6.67e-3),
    "adamw": Recipe(3e-3),
    "adamwarmup": _own(3e-3, "warmup={warmup}"),
    "adamwarmupcosinedecay": _own(3e-3, "warmup={warmup},total_steps={steps}"),
    "adamwschedulefree": _own(7.5e-3, "warmup_steps={warmup}"),
    "adan": Recipe(3e-3),
    "ademamix": Recipe(3e-3, "t_alpha_beta3={steps}"),
    "adopt": Recipe(3e-3),
    "amsgrad": Recipe(3e-3),
    "asgd": Recipe(0.1),
    "came": Recipe(3e-4),
    "dadaptadam": _free(),
    "dadaptlion": _free(),
    "dadaptsgd": _free("momentum=0.9"),
    "dion2": _inner(3e-2),
    "dog": _free(schedule="constant"),
    "gpa": _own(3e-3),
    "klshampoo": _inner(9e-3),
    "lamb": Recipe(1e-2),
    "laprop": Recipe(3e-3),
    "lars": Recipe(10.0),
    "ldog": _free(schedule="constant"),
    "lion": Recipe(3e-4),
    "madgrad": Recipe(3e-3),
    "mars": Recipe(3e-3),
    "muon": _inner(2e-2),
    "nadam": Recipe(3e-3),
    "nadamw": Recipe(3e-3),
    "noam": _own(0.9, "warmup={warmup}"),
    "normuon": _inner(2e-2),
    "novograd": Recipe(3e-2),
    "prodigy": _free(),
    "psgdkron": _inner(1e-3),
    "radam": Recipe(9e-3),
    "radamschedulefree": _own(0.0225),
    "rmsprop": Recipe(1e-3),
    "rmsproptf": Recipe(9e-3),
    "rprop": Recipe(3e-3),
    "scion": _inner(3e-2),
    "sgd": Recipe(3e-2, "momentum=0.9"),
    "sgdp": Recipe(3e-2, "momentum=0.9"),
    "sgdschedulefree": _own(0.3, "warmup_steps={warmup}"),
    "shampoo": _inner(0.27),
    "signum": Recipe(9e-4),
    "sm3": Recipe(3e-2),
    "soap": _inner(3e-3),
    "sophia": Recipe(9e-4),
    "sophiah": Recipe(9e-4),
    "splus": _inner(0.3),
    "stableadamw": Recipe(3e-3),
    "tiger": Recipe(9e-4),
    "yogi": Recipe(1e-2),
}
"""By the name in the registry, and in its order."""

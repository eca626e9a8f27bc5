"""The families of optimizers, in the order in which the site shows them."""

from __future__ import annotations

from typing import NamedTuple


class Family(NamedTuple):
    """Optimizers that have an idea in common.

    Attributes:
        key: The name of its page.
        title: The title.
        idea: The idea, in a sentence or two.
        members: Names in the registry, the simplest first.
    """

    key: str
    title: str
    idea: str
    members: tuple[str, ...]


FAMILIES = (
    Family(
        "momentum",
        "Momentum",
        "The step follows a mean of gradients. All weights of a group have one learning rate, so "
        "the rate has to be found for each model; the state is small.",
        ("sgd", "sgdp", "asgd", "lars"),
    ),
    Family(
        "adam",
        "Adam and its kin",
        "The mean gradient of each weight is divided by the root of its mean square, so that every "
        "weight moves by about the learning rate whatever the scale of its gradients. AdamW is the "
        "usual first choice.",
        (
            "adam",
            "adamw",
            "amsgrad",
            "nadam",
            "nadamw",
            "radam",
            "adabelief",
            "adamax",
            "yogi",
            "adamatan2",
            "adamc",
            "adamp",
            "adopt",
            "laprop",
            "adan",
            "ademamix",
            "mars",
            "stableadamw",
            "lamb",
            "adamwarmup",
            "adamwarmupcosinedecay",
            "noam",
        ),
    ),
    Family(
        "memory",
        "Less memory",
        "The second moment is kept for rows, columns or blocks of a matrix, or for all of it, and "
        "not for each of its numbers.",
        ("adafactor", "came", "adammini", "sm3", "novograd"),
    ),
    Family(
        "sign",
        "The sign of a momentum",
        "Every weight moves by the same amount, and the gradient decides in which direction. One "
        "buffer is enough.",
        ("lion", "signum", "tiger", "rprop"),
    ),
    Family(
        "matrices",
        "Matrices",
        "The weight of a layer is a matrix, and the step has about the same size in all of its "
        "directions. Parameters that are no matrices are trained by another optimizer.",
        (
            "muon",
            "normuon",
            "adamuon",
            "scion",
            "dion2",
            "shampoo",
            "klshampoo",
            "soap",
            "splus",
            "psgdkron",
        ),
    ),
    Family(
        "sums",
        "Sums and means of squares",
        "Gradients are divided by the root of a sum or a mean of their squares, without a mean of "
        "the gradients themselves.",
        ("adagrad", "adadelta", "rmsprop", "rmsproptf", "madgrad"),
    ),
    Family(
        "rates",
        "Without a learning rate",
        "The learning rate is estimated from how far the weights have come, and `lr` stays at 1.",
        ("prodigy", "dadaptadam", "dadaptsgd", "dadaptlion", "dog", "ldog"),
    ),
    Family(
        "averaging",
        "Averages of weights",
        "A mean of the weights of all steps takes the place of a schedule. The mean is what is "
        "evaluated: `with optimizer.evaluating():`.",
        ("adamwschedulefree", "sgdschedulefree", "radamschedulefree", "gpa"),
    ),
    Family(
        "curvature",
        "Curvature",
        "The step is divided by an estimate of the diagonal of the Hessian, which the training "
        "loop has to ask for every few steps.",
        ("sophia", "sophiah", "adahessian"),
    ),
)
"""All of them. Every optimizer is in one."""


def family_of(name: str) -> Family:
    """Return the family of an optimizer."""
    return next(family for family in FAMILIES if name in family.members)

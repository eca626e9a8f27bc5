"""The usual route: matrices within a model to one part, and all else to another."""

from __future__ import annotations

from typing import Any, Final

from schuss.composite.predicates import (
    Predicate,
    aspect,
    biases,
    convolutions,
    embeddings,
    everything,
    experts,
    heads,
    matrices,
    ndim,
    norms,
    qkv,
    routers,
    shorter_side,
    transposed,
)
from schuss.matrices.shapes import Dims, Heads

HIDDEN: Final = "hidden"
REST: Final = "rest"
VIEWS: Final = "matrices"
"""The hyper-parameter that says how a parameter consists of matrices."""


class Usual(Predicate):
    """The predicate of a line of the usual route, which may be about no parameter of a model."""

    def __init__(self, predicate: Predicate) -> None:
        super().__init__(repr(predicate), predicate.reason, is_term=False)


def usual_route(
    *, exempt_bias_and_norm: bool = False
) -> list[tuple[str, Predicate, dict[str, Any]]]:
    """Return the route of a composite that is given none, for lines to be put before it.

    A line is about parameters that are no matrices, or whose rows and columns belong to tokens,
    classes or experts. The next one is about matrices so narrow that to make all of their
    directions equally long would be to change most of them; the bounds are those of timm.

    Where the part `hidden` has no hyper-parameter `matrices`, none is given to it.

    Args:
        exempt_bias_and_norm: Let vectors and the parameters of normalization layers not decay.
    """
    vectors = norms | biases | ndim < 2
    exempt = [(REST, vectors, {"weight_decay": 0.0})] if exempt_bias_and_norm else []
    lines: list[tuple[str, Predicate, dict[str, Any]]] = [
        *exempt,
        (REST, embeddings | heads | norms | routers | biases | ndim < 2, {}),
        (REST, matrices & ((shorter_side < 4) | (aspect > 128)), {}),
        (HIDDEN, experts & transposed, {VIEWS: Dims(rows=(2,), cols=(1,))}),
        (HIDDEN, experts, {VIEWS: "batch"}),
        (HIDDEN, convolutions, {VIEWS: "flatten"}),
        (HIDDEN, matrices & qkv, {VIEWS: Heads(3)}),
        (HIDDEN, matrices & transposed, {VIEWS: Dims(rows=(1,), cols=(0,))}),
        (HIDDEN, matrices, {}),
        (REST, everything, {}),
    ]
    return [(part, Usual(predicate), options) for part, predicate, options in lines]

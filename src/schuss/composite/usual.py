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


def usual_route(
    *, with_views: bool = False, exempt_bias_and_norm: bool = False
) -> list[tuple[str, Predicate, dict[str, Any]]]:
    """Return the route of a composite that is given none.

    The first line is about parameters that are no matrices, or whose rows and columns belong to
    tokens, classes or experts. The second one is about matrices so narrow that to make all of their
    directions equally long would be to change most of them; the bounds are those of timm.

    Args:
        with_views: Say how convolutions and experts are matrices, in the hyper-parameter
            `matrices`.
        exempt_bias_and_norm: Let vectors and the parameters of normalization layers not decay.
    """

    def seen_as(matrices: Any) -> dict[str, Any]:
        return {"matrices": matrices} if with_views else {}

    vectors, exempt = norms | biases | ndim < 2, {"weight_decay": 0.0}
    return [
        *([(REST, vectors, exempt)] if exempt_bias_and_norm else []),
        (REST, embeddings | heads | norms | routers | biases | ndim < 2, {}),
        (REST, matrices & ((shorter_side < 4) | (aspect > 128)), {}),
        (HIDDEN, experts & transposed, seen_as(Dims(rows=(2,), cols=(1,)))),
        (HIDDEN, experts, seen_as("batch")),
        (HIDDEN, convolutions, seen_as("flatten")),
        (HIDDEN, matrices & qkv, seen_as(Heads(3))),
        (HIDDEN, matrices & transposed, seen_as(Dims(rows=(1,), cols=(0,)))),
        (HIDDEN, matrices, {}),
        (REST, everything, {}),
    ]

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
    routers,
    shorter_side,
)

HIDDEN: Final = "hidden"
REST: Final = "rest"


def usual_route(*, with_views: bool) -> list[tuple[str, Predicate, dict[str, Any]]]:
    """Return the route of a composite that is given none.

    The first line is about parameters that are no matrices, or whose rows and columns belong to
    tokens, classes or experts. The second one is about matrices so narrow that to make all of their
    directions equally long would be to change most of them; the bounds are those of timm.

    Args:
        with_views: Say how convolutions and experts are matrices, in the hyper-parameter
            `matrices`.
    """
    flat, batch = ({"matrices": "flatten"}, {"matrices": "batch"}) if with_views else ({}, {})
    return [
        (REST, embeddings | heads | norms | routers | biases | ndim < 2, {}),
        (REST, matrices & ((shorter_side < 4) | (aspect > 128)), {}),
        (HIDDEN, experts, batch),
        (HIDDEN, convolutions, flat),
        (HIDDEN, matrices, {}),
        (REST, everything, {}),
    ]

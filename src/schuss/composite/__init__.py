"""One optimizer for the whole model: parts, and a route that gives each parameter to one of them.

`composite` has the optimizer, and `parts` makes its parts of recipes. `predicates` has what routes
are written with; `facts`, `roles` and `heads` tell what a parameter is in its model. `deciding`
follows a route, `usual` is the route where none is given, and `table` and `doubts` show what came
of it. `saved` reads checkpoints of several optimizers.
"""

from schuss.composite.composite import Composite
from schuss.composite.deciding import Line, Route
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
    named,
    ndim,
    norms,
    qkv,
    routers,
    shorter_side,
    tied,
    transposed,
)
from schuss.composite.table import Routes, Row
from schuss.composite.usual import usual_route

__all__ = [
    "Composite",
    "Line",
    "Predicate",
    "Route",
    "Routes",
    "Row",
    "aspect",
    "biases",
    "convolutions",
    "embeddings",
    "everything",
    "experts",
    "heads",
    "matrices",
    "named",
    "ndim",
    "norms",
    "qkv",
    "routers",
    "shorter_side",
    "tied",
    "transposed",
    "usual_route",
]

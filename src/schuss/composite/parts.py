"""The parts of a composite, each made of a recipe: an optimizer without parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Final

from schuss.hyperparameters import OPTION_DEFAULTS
from schuss.optimizer import Optimizer
from schuss.transforms import Transform
from schuss.transforms.chain import WAITING

ALGORITHM: Final = "algorithm"
"""The key of a group under which the name of its part stands."""

_OF_THE_STEP: Final = (*WAITING, "holds_back", "refusal", "refused", "measure_climb")
"""Methods of a transform that decide about the whole step."""


def joined(
    name: str, recipe: object, transforms: Sequence[Transform], options: Mapping[str, Any]
) -> Optimizer:
    """Return the optimizer of a part, which steps groups of a composite.

    Args:
        name: The name of the part.
        recipe: Its recipe; not changed.
        transforms: The transforms of all parts, which come before those of the recipe.
        options: The options of all parts. An option that the recipe has differs from that.

    Raises:
        TypeError: It is no recipe, or it cannot be a part.
        ValueError: It has parameters, or transforms that decide about the step of all parts.
    """
    checked = _checked(name, recipe)
    part, given = copy(checked), checked.defaults
    try:
        part.surround([*transforms, *checked.transforms])
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (part {name!r})") from None
    own = {key: given[key] for key, usual in OPTION_DEFAULTS.items() if given[key] is not usual}
    around = {key: value for each in transforms for key, value in each.defaults().items()}
    part.param_groups = []
    part.defaults = {**given, **options, **own, **around, ALGORITHM: name}
    return part


def _checked(name: str, recipe: object) -> Optimizer:
    if not isinstance(recipe, Optimizer):
        raise TypeError(
            f"the part {name!r} is {recipe!r}; it must be an optimizer of schuss without "
            f"parameters, as in {name}=AdamW(lr=3e-4)"
        )
    kind = type(recipe).__name__
    if recipe.param_groups:
        raise ValueError(
            f"the part {name!r} is an optimizer of the class {kind} that has parameters already; "
            f"call the class without parameters, as in {name}={kind}(lr=...)"
        )
    for transform in recipe.transforms:
        for method in _OF_THE_STEP:
            if getattr(type(transform), method) is not getattr(Transform, method):
                raise ValueError(
                    f"the part {name!r} has the transform {transform!r}, which decides about the "
                    "step of all parts; give it to Composite, as in transforms=[...]"
                )
    return recipe

"""The output layers of a model: what it says they are, or else what they look like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from torch import nn

from schuss.composite.roles import Place, roles_of

ASKED: Final = ("get_output_embeddings", "get_classifier")
"""Methods by which models of transformers and of timm tell their output layer."""

GUESSED: Final = "output layer, as it seems: the last that the model registers"
"""The reason where nothing tells the output layer; the table of routes doubts it."""


def heads_in(model: nn.Module, places: Sequence[Place]) -> dict[str, str]:
    """Return the output layers of a model, by name, each with the reason for it.

    A model that has a method for it is asked. In another one, a layer with as many outputs as an
    embedding has rows is an output layer, if it is the only one; else it is the last layer, which
    in a `Sequential` is certain, and elsewhere a guess.
    """
    told = _told(model)
    if told is not None:
        names = {id(module): name for name, module in model.named_modules()}
        return {names[id(each)]: "output layer, says the model" for each in told}
    layers = [place for place in places if _is_layer(place, model)]
    rows = {place.param.shape[0] for place in places if isinstance(place.module, nn.Embedding)}
    for count in sorted(rows, reverse=True):
        alike = [place for place in layers if _outputs(place) == count]
        if len(alike) == 1:
            return {alike[0].path: f"output layer, with {count} outputs as an embedding has rows"}
    if not layers:
        return {}
    certain = isinstance(model, nn.Sequential)
    return {layers[-1].path: "output layer, the last of a Sequential" if certain else GUESSED}


def _is_layer(place: Place, model: nn.Module) -> bool:
    roles = roles_of(place, model)
    return place.leaf == "weight" and ("linear" in roles or "convolution" in roles)


def _outputs(place: Place) -> int:
    return place.param.shape[1 if "transposed" in roles_of(place, place.module) else 0]


def _told(model: nn.Module) -> list[nn.Module] | None:
    """Return the output layers that a model says it has, or None if it says nothing."""
    answered, found = False, []
    for module in model.modules():
        for method in ASKED:
            if callable(getattr(module, method, None)):
                with suppress(NotImplementedError, AttributeError):
                    answer = _layers(getattr(module, method)())
                    is_none = module is model and _has_none(module, method)
                    answered = answered or bool(answer) or is_none
                    found += answer
    inside = {id(module) for module in model.modules()}
    return [each for each in found if id(each) in inside] if answered else None


def _layers(answer: Any) -> list[nn.Module]:
    several = answer if isinstance(answer, Iterable) else (answer,)
    return [each for each in several if isinstance(each, nn.Module) and [*each.parameters()]]


def _has_none(module: nn.Module, method: str) -> bool:
    """Tell whether a model without an output layer says so: it is its own base, or of timm."""
    return method == "get_classifier" or getattr(module, "base_model", None) is module

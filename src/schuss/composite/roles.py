"""The roles of parameters in a model, told by the modules that they belong to.

A role comes with a reason, a few words for the table of routes. A parameter may have several roles,
or none: then nothing here knows the module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from schuss.parametergroups import is_norm

Roles: TypeAlias = dict[str, str]
"""Reasons by role: embedding, head, tied, norm, bias, router, experts, linear, convolution,
depthwise, qkv, transposed."""


class Place(NamedTuple):
    """A place of a parameter in a model.

    Attributes:
        path: The name of the module.
        leaf: The name of the parameter in it.
        module: The module.
        parent: The module that this one belongs to, or None of the model itself.
        param: The parameter.
    """

    path: str
    leaf: str
    module: nn.Module
    parent: nn.Module | None
    param: Tensor

    @property
    def kind(self) -> str:
        """The name of the module's class."""
        return type(self.module).__name__


def places_in(model: nn.Module) -> list[Place]:
    """Return where the parameters of a model are, in the order in which it registers them."""
    modules = dict(model.named_modules())
    found = []
    for path, module in modules.items():
        parent = modules.get(path.rpartition(".")[0]) if path else None
        for leaf, param in module.named_parameters(recurse=False):
            found.append(Place(path, leaf, module, parent, param))
    return found


def roles_of(place: Place, model: nn.Module) -> Roles:
    """Return the roles that a parameter has by its module and the one around that."""
    checks = {
        "norm": f"normalization, {place.kind}" if is_norm(place.module) else "",
        "bias": "bias" if place.leaf.endswith("bias") else "",
        "embedding": _as_embedding(place, model),
        "router": _as_router(place),
        "experts": _as_experts(place),
        "linear": _as_linear(place),
        "convolution": _as_convolution(place),
        "depthwise": _as_depthwise(place),
        "qkv": "queries, keys and values in one" if _is_qkv(place) else "",
        "transposed": "outputs in the last dimension" if _is_transposed(place) else "",
    }
    return {role: reason for role, reason in checks.items() if reason}


def _as_embedding(place: Place, model: nn.Module) -> str:
    if isinstance(place.module, (nn.Embedding, nn.EmbeddingBag)):
        return f"embedding, {place.kind}" if place.leaf == "weight" else ""
    around = [each for each in (place.module, place.parent) if each is not None]
    kinds = [type(each).__name__ for each in around if each is not model]
    return next((f"embedding, in {kind}" for kind in kinds if "embed" in kind.lower()), "")


def _as_router(place: Place) -> str:
    if place.param.ndim != 2:
        return ""
    experts = getattr(place.parent, "experts", None)
    if isinstance(experts, nn.Module) and experts is not place.module:
        count = len(experts) if isinstance(experts, nn.ModuleList) else _count_of(experts)
        if count == place.param.shape[0]:
            return f"router of {count} experts"
    return f"router, {place.kind}" if "router" in place.kind.lower() else ""


def _count_of(experts: nn.Module) -> int | None:
    """Return how many experts there are in tensors with a matrix for each."""
    stacked = [param for param in experts.parameters(recurse=False) if param.ndim == 3]
    return stacked[0].shape[0] if stacked else None


def _as_experts(place: Place) -> str:
    if place.param.ndim != 3 or "expert" not in place.kind.lower():
        return ""
    return f"{place.param.shape[0]} experts, {place.kind}"


def _as_linear(place: Place) -> str:
    module, leaf, shape = place.module, place.leaf, tuple(place.param.shape)
    if isinstance(module, nn.MultiheadAttention):
        is_matrix = leaf.endswith("proj_weight")
    elif isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        is_matrix = leaf.startswith("weight_")
    else:
        is_matrix = leaf == "weight" and shape in (_of_linear(module), _of_transposed(module))
    return f"linear layer, {place.kind}" if is_matrix else ""


def _of_linear(module: nn.Module) -> tuple[object, object]:
    """Return the shape of the weight of a linear layer, of whatever class; else no shape."""
    return getattr(module, "out_features", None), getattr(module, "in_features", None)


def _of_transposed(module: nn.Module) -> tuple[object, object]:
    """Return the shape of the weight of the class `Conv1D` of transformers: inputs by outputs."""
    return getattr(module, "nx", None), getattr(module, "nf", None)


def _is_qkv(place: Place) -> bool:
    return isinstance(place.module, nn.MultiheadAttention) and place.leaf == "in_proj_weight"


def _is_transposed(place: Place) -> bool:
    """Tell whether the outputs of linear layers or experts are in the last dimension."""
    if _as_experts(place):
        return bool(getattr(place.module, "is_transposed", False))
    return place.leaf == "weight" and tuple(place.param.shape) == _of_transposed(place.module)


def _as_convolution(place: Place) -> str:
    is_kernel = isinstance(place.module, _ConvNd) and place.leaf == "weight"
    return f"convolution, {place.kind}" if is_kernel and not _as_depthwise(place) else ""


def _as_depthwise(place: Place) -> str:
    module = place.module
    if not isinstance(module, _ConvNd) or place.leaf != "weight":
        return ""
    single = 1 < module.groups == module.in_channels
    return f"convolution of single channels, {place.kind}" if single else ""


def shared_names(places: list[Place]) -> Iterator[tuple[Place, str]]:
    """Yield the places of parameters that several modules share, each with another such name."""
    by_param: dict[int, list[Place]] = {}
    for place in places:
        by_param.setdefault(id(place.param), []).append(place)
    for shared in by_param.values():
        if len(shared) > 1:
            first, second, *_ = shared
            yield first, f"{second.path}.{second.leaf}"

"""Parameter groups made from a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
)


def check_params(groups: Sequence[object]) -> None:
    """Refuse groups whose parameters cannot be stepped.

    Raises:
        TypeError: A group is no dictionary, or its parameters are not tensors in a list.
        ValueError: A parameter is listed twice.
    """
    seen: dict[int, int] = {}
    for number, group in enumerate(groups):
        if not isinstance(group, dict) or not isinstance(group.get("params"), list):
            told = f"parameter group {number} is {_shortened(group)}; it"
            if isinstance(group, dict):
                params = _shortened(group["params"]) if "params" in group else "missing"
                told = f"the 'params' of parameter group {number} are {params}; the group"
            raise TypeError(f"{told} must be a dictionary whose 'params' are a list")
        for param in group["params"]:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"parameter group {number} has {_shortened(param)} in its 'params'; they must "
                    "be tensors"
                )
            if id(param) in seen:
                raise ValueError(
                    f"a parameter of shape {tuple(param.shape)} is listed twice, in parameter "
                    f"groups {seen[id(param)]} and {number}; list it once"
                )
            seen[id(param)] = number


def check_given(name: str, params: object) -> None:
    """Refuse what cannot be the parameters of an optimizer.

    Args:
        name: The class of the optimizer.
        params: The first argument, which should be a list of parameters.

    Raises:
        TypeError: It is a model or one tensor, say.
    """
    if params is None or (isinstance(params, Iterable) and not isinstance(params, (str, Tensor))):
        return
    if isinstance(params, nn.Module):
        told = f"the model {type(params).__name__}; give its parameters, as in {name}"
        raise TypeError(f"params is {told}(model.parameters())")
    if isinstance(params, Tensor):
        told = f"a tensor of shape {tuple(params.shape)}; give a list, as in {name}([weight])"
        raise TypeError(f"params is {told}")
    raise TypeError(f"params is {_shortened(params)}; give a list of tensors, or of groups")


@contextmanager
def adding_group(groups: list[Any], check: Callable[[], None]) -> Iterator[None]:
    """Check groups after torch has added one in the block, and take it away if it is refused.

    The warning of torch about a parameter that is listed twice is left out: it is an error here.

    Args:
        groups: The groups, to which torch adds one.
        check: Checks the parameters of all groups, as `check_params` does.

    Raises:
        TypeError: `check` refuses a parameter.
        ValueError: `check` refuses a parameter.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "optimizer contains a parameter group with duplicate")
        yield
    try:
        check()
    except (TypeError, ValueError):
        groups.pop()
        raise


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def trainable(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Return the parameters of `model` that require gradients, with their names."""
    return [(name, param) for name, param in model.named_parameters() if param.requires_grad]


def decay_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Return two groups of the trainable parameters of a model, the second without weight decay.

    Without decay are biases, whatever belongs to a normalization layer (one of torch's, or a class
    with "Norm" in its name), and any other parameter with fewer than two dimensions. A group that
    would be empty is left out.
    """
    exempt = {
        id(param)
        for module in model.modules()
        for name, param in module.named_parameters(recurse=False)
        if name.endswith("bias") or param.ndim < 2 or is_norm(module)
    }
    named = trainable(model)
    groups: list[dict[str, Any]] = [
        {"params": [(name, param) for name, param in named if id(param) not in exempt]},
        {"params": [(name, param) for name, param in named if id(param) in exempt]},
    ]
    groups[1]["weight_decay"] = 0.0
    return [group for group in groups if group["params"]]


def is_norm(module: nn.Module) -> bool:
    """Tell whether a module normalizes: one of torch's, or a class with "Norm" in its name."""
    return isinstance(module, _NORMS) or "norm" in type(module).__name__.lower()

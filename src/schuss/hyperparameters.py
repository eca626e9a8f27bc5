"""Hyper-parameters: the options that every optimizer takes, and the checks that values pass.

A check takes a group, so that it holds for every group: at construction, in `add_param_group`, and
when a checkpoint is loaded. A value may be a Python number or a tensor of one element.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict

from torch import Tensor

from schuss.contract import Group

if TYPE_CHECKING:
    from schuss.transforms import Transform


class Options(TypedDict, total=False):
    """Keyword options that every optimizer takes, for all groups or (as a key of a group) for one.

    `maximize` climbs instead of descending.

    `master_weights` keeps a float32 copy of each float16 or bfloat16 parameter, which receives the
    updates, and the state in float32: 12 bytes a parameter more than the parameter itself for Adam.

    `differentiable` lets autograd go through the step; the parameters must then be non-leaf
    tensors.

    `fused=True` compiles the rule into one kernel for all parameters, `foreach=True` plays it with
    torch's operations on lists of tensors; both raise where that cannot be done. With neither, the
    fastest engine that is right is taken. False for one of them, and nothing for the other, calls
    the rule for each parameter in turn.

    `capturable` is torch's; this version refuses True.

    `transforms` change the gradient, the update and the parameter around the rule; see
    `schuss.Transform`. They are of all groups, which may differ in the hyper-parameters of each.
    """

    maximize: bool
    master_weights: bool
    differentiable: bool
    foreach: bool | None
    fused: bool | None
    capturable: bool
    transforms: Sequence[Transform]


OPTION_DEFAULTS: Final[Mapping[str, Any]] = {
    "maximize": False,
    "master_weights": False,
    "differentiable": False,
    "foreach": None,
    "fused": None,
    "capturable": False,
}

EXECUTION_OPTIONS: Final = ("differentiable", "foreach", "fused", "capturable")
"""Options that say how a step is run, not what it computes. A checkpoint does not restore them."""


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Refuse a keyword argument that the optimizer called `name` does not have."""
    for key in options:
        if key not in OPTION_DEFAULTS:
            raise TypeError(
                f"{name} got an unexpected keyword argument {key!r}; beside its own, every "
                f"optimizer takes {', '.join(OPTION_DEFAULTS)} and transforms"
            )


def check_not_negative(group: Group, key: str, noun: str) -> None:
    """Check that `group[key]` is a number of at least 0.

    Args:
        group: The parameter group.
        key: The hyper-parameter.
        noun: What the message calls it.

    Raises:
        ValueError: It is negative or NaN.
        TypeError: It is not a number.
    """
    value = _number(group[key], f"{noun}", key)
    if not value >= 0.0:
        raise ValueError(f"Invalid {noun}: {value}; {key} must be at least 0")


def check_positive(group: Group, key: str, noun: str) -> None:
    """Check that `group[key]` is a number above 0, as `check_not_negative` does for 0."""
    value = _number(group[key], noun, key)
    if not value > 0.0:
        raise ValueError(f"Invalid {noun}: {value}; {key} must be above 0")


def check_share(group: Group, key: str, noun: str) -> None:
    """Check that `group[key]` is a number in [0, 1].

    Args:
        group: The parameter group.
        key: The hyper-parameter.
        noun: What the message calls it.

    Raises:
        ValueError: It lies outside, or is NaN.
        TypeError: It is not a number.
    """
    value = _number(group[key], noun, key)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"Invalid {noun}: {value}; {key} must lie in [0, 1]")


def check_betas(group: Group) -> None:
    """Check that every decay rate in `group["betas"]` lies in [0, 1).

    Raises:
        ValueError: One lies outside.
        TypeError: `betas` is not a sequence of numbers.
    """
    betas = group["betas"]
    if not isinstance(betas, (tuple, list)):
        raise TypeError(f"Invalid betas: {betas!r}; betas must be a tuple of decay rates")
    for index, beta in enumerate(betas):
        value = _number(beta, f"beta parameter at index {index}", f"betas[{index}]")
        if not 0.0 <= value < 1.0:
            raise ValueError(
                f"Invalid beta parameter at index {index}: {value}; "
                f"betas[{index}] must lie in [0, 1)"
            )


def _number(value: object, noun: str, key: str) -> float:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(
            f"Invalid {noun}: a tensor of shape {tuple(value.shape)}; "
            f"{key} must be a number or a tensor of one element"
        )
    try:
        return float(value)  # type: ignore[arg-type]  # whatever is no number raises, below
    except (TypeError, ValueError):
        raise TypeError(f"Invalid {noun}: {value!r}; {key} must be a number") from None

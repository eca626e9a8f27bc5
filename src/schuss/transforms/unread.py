"""A stand-in for a parameter, for rules that see the gradient in another shape.

A transform that projects the gradient gives the rule a smaller one. There is no parameter of that
shape, so the rule gets a stand-in that has the shape, the precision and the device, and no numbers.
Rules that use the gradient alone make their buffers like it, and never notice. A rule that reads
the numbers would compute something that no paper describes, so an error says that instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol, cast

import torch
from torch import Tensor

from schuss.contract import Group, State

_ABOUT = frozenset(
    """
    device dim dtype element_size is_complex is_floating_point is_meta ndim new_empty new_full
    new_ones new_zeros numel requires_grad shape size
    """.split()  # noqa: SIM905  # a list of names to be read
)
"""Methods and properties of tensors that tell nothing of their numbers."""

_LIKE = frozenset({"empty_like", "full_like", "ones_like", "rand_like", "randn_like", "zeros_like"})
"""Functions of torch that make another tensor of the same shape."""


class ParameterReadError(TypeError):
    """A rule has read a parameter of which it has only the shape."""


class Unread:
    """Stands in for a parameter of which a rule may know all but the numbers.

    Args:
        like: A tensor of the same shape, precision and device.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Make a tensor of the same shape, and refuse any other function of torch."""
        name = getattr(function, "__name__", "").strip("_")
        if name not in _LIKE:
            _refuse(f"torch.{name}")
        first, *rest = args
        return function(first._like, *rest, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        """Return a property that tells nothing of the numbers, or a method of that kind."""
        if name not in _ABOUT:
            _refuse(f"Tensor.{name}")
        return getattr(self._like, name)

    def __len__(self) -> int:
        """Return the first dimension."""
        return self._like.shape[0]


def _operator(special: str) -> Callable[..., NoReturn]:
    def method(*operands: object) -> NoReturn:
        _refuse(f"Tensor.__{special}__")

    return method


for _name in (
    *("add", "sub", "mul", "truediv", "pow", "matmul", "radd", "rsub", "rmul", "rtruediv", "rpow"),
    *("rmatmul", "neg", "abs", "eq", "ne", "lt", "le", "gt", "ge", "getitem", "setitem", "iter"),
    *("bool", "float", "int", "iadd", "isub", "imul", "itruediv"),
):
    setattr(Unread, f"__{_name}__", _operator(_name))


def unread(like: Tensor) -> Tensor:
    """Return a stand-in for a parameter that is like a tensor; a rule takes it for a parameter."""
    return cast("Tensor", Unread(like))


def _refuse(what: str) -> NoReturn:
    raise ParameterReadError(
        f"the rule reads the parameter ({what}), of which there is only the shape of the projected "
        "gradient"
    )


class Rule(Protocol):
    """The part of an optimizer that is tried."""

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Fill the empty `state` of `param`."""

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the direction against which `param` moves."""

    def overrides(self, method: str) -> bool:
        """Tell whether the class has a method of its own."""


def check_unread(rule: Rule, transform: object, group: Group) -> None:
    """Refuse a rule that needs more than the gradient, which is tried on tensors without memory.

    Args:
        rule: The optimizer whose rule it is.
        transform: The transform that projects the gradient.
        group: The hyper-parameters.

    Raises:
        TypeError: It reads the parameter, or what is measured or estimated of whole gradients.
    """
    why = _needed(rule, group)
    if why is not None:
        raise TypeError(
            f"{transform!r} does not go with {type(rule).__name__}: it projects the gradient, and "
            f"{why}; take an optimizer that computes with the gradient alone, such as AdamW"
        )


def _needed(rule: Rule, group: Group) -> str | None:
    """Return what a rule needs beside the gradient, or None."""
    if rule.overrides("measure"):
        return "the rule needs sums over whole gradients"
    if hasattr(rule, "take_hessian"):
        return "the rule is given a Hessian that is not projected"
    like = torch.empty(3, 2, dtype=torch.float32, device="meta")
    state: State = {}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            rule.init_state(state, group, unread(like))
            state |= {"step": 1} if "step" in state else {}
            rule.update(state, group, like, unread(like))
    except ParameterReadError as error:
        return str(error)
    except Exception:  # noqa: BLE001  # for want of numbers; a step has them, and will say
        return None
    return None

"""The registry: optimizers by name, with their sources and their memory."""

from __future__ import annotations

import ast
import difflib
import fnmatch
import inspect
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from schuss import optimizers
from schuss.composite import Composite
from schuss.hyperparameters import OPTION_DEFAULTS
from schuss.optimizer import Optimizer
from schuss.parametergroups import decay_groups, trainable

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT


class OptimizerInfo(NamedTuple):
    """A row of the registry: an optimizer, and the facts that its page tells.

    Attributes:
        name: Its name in the registry, the class's in lower case.
        cls: The class.
        summary: One line on the idea.
        source: Where it was published.
        memory: State that it keeps.
    """

    name: str
    cls: type[Optimizer]
    summary: str
    source: str
    memory: str


def list_optimizers(pattern: str = "*") -> list[OptimizerInfo]:
    """Return the rows of the optimizers whose name matches a shell pattern.

    Example:
        >>> from schuss import list_optimizers
        >>> [info.name for info in list_optimizers("ada*belief")]
        ['adabelief']
        >>> list_optimizers("nadam")[0].memory
        'two buffers per parameter'
    """
    names = sorted(_NAMES)
    return [_info(name) for name in fnmatch.filter(names, pattern.lower())]


def create_optimizer(
    name: str,
    params: nn.Module | ParamsT,
    *,
    exempt_bias_and_norm: bool = False,
    rest: str | None = None,
    **hyperparameters: Any,
) -> Optimizer:
    """Create an optimizer by name; of one for matrices, such as Muon, and a model a `Composite`.

    Args:
        name: Name in the registry, in any case; see `list_optimizers`.
        params: Parameters, named parameters or groups, as the optimizer takes them; or a model,
            for its trainable parameters with their names.
        exempt_bias_and_norm: Put biases, parameters of normalization layers and other vectors and
            scalars of the model into a group of their own, without weight decay.
        rest: The other part of that composite, such as `"lion:lr=1e-4"`; else it is AdamW.
        **hyperparameters: The other arguments of the optimizer's class.

    Raises:
        ValueError: There is no such optimizer, or a hyper-parameter lies outside of its domain.
        TypeError: The optimizer has no such argument, or `params` is not what an argument is for.

    Example:
        >>> import torch
        >>> from schuss import create_optimizer
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))
        >>> options = {"weight_decay": 0.1, "exempt_bias_and_norm": True}
        >>> optimizer = create_optimizer("adamw", model, lr=3e-4, **options)
        >>> [(group["param_names"], group["weight_decay"]) for group in optimizer.param_groups]
        [(['0.weight'], 0.1), (['0.bias', '1.weight', '1.bias'], 0.0)]
    """
    cls = _lookup(name)
    if cls.takes_matrices_only and isinstance(params, nn.Module):
        hyperparameters["exempt_bias_and_norm"] = exempt_bias_and_norm
        return _beside(cls, params, rest or "adamw", hyperparameters)
    if rest is not None:
        raise TypeError(f"rest={rest!r} is for a model beside an optimizer of matrices only")
    return cls(_groups(params, exempt=exempt_bias_and_norm), **hyperparameters)


def _groups(params: nn.Module | ParamsT, *, exempt: bool) -> ParamsT:
    """Return parameters or groups for an optimizer, given those or a model."""
    if isinstance(params, nn.Module):
        return decay_groups(params) if exempt else trainable(params)
    if exempt:
        raise TypeError(
            "exempt_bias_and_norm=True needs the model itself, to tell which of its parameters are "
            f"biases or belong to a normalization layer; params is of type {type(params).__name__}"
        )
    return params


def _beside(
    cls: type[Optimizer], model: nn.Module, rest: str, options: dict[str, Any]
) -> Composite:
    """Return an optimizer for matrices, beside another one for the rest of a model.

    Args:
        cls: Its class.
        model: The model.
        rest: The other optimizer and its options, as they are written on a command line.
        options: Options of both, and the hyper-parameters of the first.
    """
    of_both = ("exempt_bias_and_norm", "transforms", *OPTION_DEFAULTS)
    shared = {key: options.pop(key) for key in of_both if key in options}
    name, of_rest = parse_spec(rest)
    return Composite(model, hidden=cls(**options), rest=_lookup(name)(**of_rest), **shared)


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Parse a name and its options, as they are written on a command line.

    Args:
        spec: A name, or a name, a colon, and options as in a call with literal values.

    Raises:
        ValueError: It is neither.

    Example:
        >>> from schuss.registry import parse_spec
        >>> parse_spec("adamw:lr=1e-3,betas=(0.9, 0.95)")
        ('adamw', {'lr': 0.001, 'betas': (0.9, 0.95)})
    """
    name, _, options = spec.partition(":")
    name = name.strip()
    try:
        call = ast.parse(f"_({options})", mode="eval").body
        if (
            not (name and isinstance(call, ast.Call) and isinstance(call.func, ast.Name))
            or call.args
        ):
            raise ValueError
        pairs = [(keyword.arg, ast.literal_eval(keyword.value)) for keyword in call.keywords]
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        pairs = [(None, None)]
    parsed = {key: value for key, value in pairs if key is not None}
    if len(parsed) != len(pairs):
        raise ValueError(
            f"cannot read {spec!r}; write it as NAME or NAME:OPTION=VALUE,OPTION=VALUE, for "
            "example adamw:lr=1e-3,betas=(0.9,0.95)"
        )
    return name, parsed


_NAMES: dict[str, str] = {name.lower(): name for name in optimizers.__all__}
"""The name of each class, which is imported when it is asked for, by its name in the registry."""


def _lookup(name: str) -> type[Optimizer]:
    found = _NAMES.get(name.lower())
    if found is None:
        close = difflib.get_close_matches(name.lower(), _NAMES, n=3)
        hint = (
            f"did you mean {' or '.join(close)}?"
            if close
            else f"there are {', '.join(sorted(_NAMES))}"
        )
        raise ValueError(f"no optimizer {name!r}; {hint}")
    cls: type[Optimizer] = getattr(optimizers, found)
    return cls


def _info(name: str) -> OptimizerInfo:
    """Read an optimizer's own page: title, source, and what the class says that it keeps."""
    cls = _lookup(name)
    title, source, *_ = (inspect.getdoc(sys.modules[cls.__module__]) or "\n\n").split("\n\n")
    _, _, summary = title.rpartition(": ")
    memory = re.search(r"Keeps (.+?)\.", inspect.getdoc(cls) or "")
    return OptimizerInfo(
        name=name,
        cls=cls,
        summary=summary.rstrip("."),
        source=" ".join(source.split()),
        memory=memory[1] if memory else "",
    )

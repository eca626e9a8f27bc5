"""The pages of the interface: every public name, out of its docstring."""

from __future__ import annotations

import inspect
import re
from types import ModuleType

import schuss
from schuss import composite, matrices, schedules
from schuss.optimizers import __all__ as optimizers
from schuss.transforms import __all__ as transforms

_PARTS: dict[str, tuple[str, ...]] = {
    "By name": ("create_optimizer", "list_optimizers", "OptimizerInfo"),
    "To write an optimizer or a transform": (
        "Optimizer",
        "GenericAdaptiveOptimizer",
        "Transform",
        "Options",
        "hyper",
        "rate",
    ),
    "One optimizer for the whole model": (
        "Composite",
        *(f"composite.{name}" for name in composite.__all__ if name != "Composite"),
    ),
    "Matrices": (
        "orthogonalized",
        *(f"matrices.{name}" for name in matrices.__all__ if name != "orthogonalized"),
    ),
    "Weight decay": ("WeightDecay", "L1Decay", "CorrectedDecay", "InUpdate"),
    "What a step does": ("Explanation", "CohortExplanation", "Memory"),
    "Checkpoints": ("LoadReport", "migration.migrated"),
}
_OF_ENGINES = (
    "algorithm_of",
    "begin_compiled",
    "begin_state",
    "check_listed",
    "has_other_weights",
    "measurements",
    "overrides",
    "passes",
    "sparse_obstacle",
    "surround",
    "whole_rule",
)
"""Methods of an optimizer that its parts call, and nobody else."""

_MODULES = {"schedules", "matrices", "composite", "migration"}
"""Modules whose names are on the page."""


def parts() -> dict[str, tuple[str, ...]]:
    """Return the public names that have no page of their own, by the title of their part."""
    return _PARTS | {"Schedules": tuple(f"schedules.{name}" for name in _schedules())}


def _schedules() -> list[str]:
    """Return the names of the classes and functions that the module of schedules defines."""
    return [
        name
        for name, value in vars(schedules).items()
        if getattr(value, "__module__", "") == schedules.__name__ and not name.startswith("_")
    ]


def left_out() -> set[str]:
    """Return the public names that are on no page, which there should not be."""
    shown = {name for names in parts().values() for name in names}
    return set(schuss.__all__) - shown - {*optimizers, *transforms, *_MODULES, "__version__"}


def reference() -> str:
    """Return the page."""
    blocks = [
        "# Reference",
        (
            "[Optimizers](optimizers/index.md) and [transforms](transforms/index.md) have pages of "
            "their own. The other public names are here."
        ),
    ]
    for title, names in parts().items():
        blocks.append(f"## {title}")
        blocks += [_documented(name) for name in names]
    return "\n\n".join(blocks)


def _home(package: ModuleType, name: str) -> str:
    """Return the module of a package where a value is assigned, and its docstring follows."""
    modules = [value for value in vars(package).values() if isinstance(value, ModuleType)]
    (home,) = (
        module.__name__
        for module in modules
        if re.search(rf"^{name}(:.*)? = ", inspect.getsource(module), re.MULTILINE)
    )
    return home


def _documented(name: str) -> str:
    package, _, last = name.rpartition(".")
    found = vars(getattr(schuss, package))[last] if package else getattr(schuss, name)
    if not callable(found):
        home = _home(getattr(schuss, package), last)
        return f"```{{eval-rst}}\n.. autodata:: {home}.{last}\n   :no-value:\n```"
    kind = "class" if isinstance(found, type) else "function"
    options = []
    if kind == "class" and not issubclass(found, tuple | dict):  # which tell of their fields
        options = [":members:"]
    if name == "Optimizer":  # with the methods of `Algorithm`, without those of torch
        options += [
            ":inherited-members: Checked, Optimizer",
            f":exclude-members: {', '.join(_OF_ENGINES)}",
        ]
    shown = "".join(f"   {option}\n" for option in options)
    return f"```{{eval-rst}}\n.. auto{kind}:: schuss.{name}\n{shown}```"

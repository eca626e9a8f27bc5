"""The optimizers of timm, without its models, which would need torchvision."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

PACKAGES = ("timm", "timm.optim")


def timm_class(module: str, name: str) -> Any:
    """Return a class of `timm.optim`, importing its module and what that needs, and nothing else.

    Args:
        module: The module in `timm.optim`.
        name: The class.
    """
    found = importlib.util.find_spec("timm")
    (folder,) = (found.submodule_search_locations if found else None) or [""]
    before = {package: sys.modules.get(package) for package in PACKAGES}
    try:
        for package, where in zip(PACKAGES, (folder, f"{folder}/optim"), strict=True):
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = [where]
        return getattr(importlib.import_module(f"timm.optim.{module}"), name)
    finally:
        for package, was in before.items():
            if was is None:
                del sys.modules[package]
            else:
                sys.modules[package] = was

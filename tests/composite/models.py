"""Models of timm, for which torchvision need not be there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Named(type):
    """The type of a class that has every attribute, by its name."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Empty(ModuleType):
    """A module that has every class, with nothing in it."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Named(name, (), {})


class _Torchvision(MetaPathFinder, Loader):
    """Finds empty modules in place of those of torchvision, which timm's models never call."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        is_its = fullname.partition(".")[0] == "torchvision"
        return ModuleSpec(fullname, self, is_package=True) if is_its else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def timm_model(name: str, **options: Any) -> Any:
    """Return a model of timm without trained weights."""
    finder = _Torchvision()
    sys.meta_path.append(finder)  # behind the real one
    try:
        timm = importlib.import_module("timm")
        return timm.create_model(name, pretrained=False, **options)
    finally:
        sys.meta_path.remove(finder)
        for module in [each for each in sys.modules.values() if isinstance(each, _Empty)]:
            del sys.modules[module.__name__]

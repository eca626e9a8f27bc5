"""The rows of the ledger, a module for each algorithm or family."""

from __future__ import annotations

import importlib
import pkgutil

from tests.ledger.row import Row


def rows() -> list[Row]:
    """Return all rows, in the order of the algorithms' names."""
    modules = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    found = [row for module in modules for row in module.ROWS]
    return sorted(found, key=lambda row: (row.algorithm, row.package is None, row.options))

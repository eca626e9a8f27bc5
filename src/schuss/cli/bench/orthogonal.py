"""How far orthogonalized matrices are from the exact polar factor, by condition number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from schuss.cli.bench.printed import launch
from schuss.matrices import SETS, orthogonalized

ORTHOGONAL: Final = "orthogonal"

SHAPE: Final = (128, 512)
"""Rows and columns of the matrices: wide enough for the Gram form to have a use."""

CONDITIONS: Final = (1e1, 1e2, 1e3, 1e6)
"""The condition numbers: of the largest singular value to the smallest."""

WAYS: Final[dict[str, dict[str, str]]] = {
    "float32": {"precision": "float32", "form": "ordinary"},
    "float32, Gram": {"precision": "float32", "form": "gram"},
    "bfloat16": {"precision": "bfloat16", "form": "ordinary"},
    "bfloat16, Gram": {"precision": "bfloat16", "form": "gram"},
}
"""The arguments of `orthogonalized` beside the coefficients, by the name of their column."""


def matrix(condition: float | None) -> tuple[Tensor, Tensor]:
    """Return a matrix and its exact polar factor, in float64.

    Args:
        condition: The condition number of a matrix whose singular values are at equal distances on
            a logarithmic scale; None for one of Gaussian numbers.
    """
    rows, cols = SHAPE
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(2, cols, cols, generator=generator, dtype=torch.float64)
    if condition is None:
        gaussian = numbers[0, :rows]
        left, _, right = torch.linalg.svd(gaussian, full_matrices=False)
        return gaussian, left @ right
    left = torch.linalg.qr(numbers[0, :rows, :rows]).Q
    right = torch.linalg.qr(numbers[1, :, :rows]).Q.mT
    exponents = torch.linspace(0.0, 1.0, rows, dtype=torch.float64)
    return left * condition**-exponents @ right, left @ right


def error(name: str, condition: float | None, way: str) -> float | None:
    """Return the distance from the polar factor, relative to its norm; None if it is refused.

    Args:
        name: A set of coefficients.
        condition: The condition number, or None for a matrix of Gaussian numbers.
        way: The name of a column in `WAYS`.
    """
    x, exact = matrix(condition)
    try:
        found = orthogonalized(x.float(), coefficients=name, **WAYS[way])  # type: ignore[arg-type]
    except ValueError:  # the Gram form in 16 bits, with coefficients that are not safe there
        return None
    return float((found - exact).norm() / exact.norm())


def rounding(name: str, condition: float | None, way: str) -> float | None:
    """Return the distance from the same steps in float64, relative in norm; None if refused."""
    x, _ = matrix(condition)
    exact = orthogonalized(x, coefficients=name, precision="float32")
    try:
        found = orthogonalized(x.float(), coefficients=name, **WAYS[way])  # type: ignore[arg-type]
    except ValueError:
        return None
    return float((found - exact).norm() / exact.norm())


def interval(name: str) -> tuple[float, float]:
    """Return the least and the largest singular value that a Gaussian matrix ends with."""
    x, _ = matrix(None)
    values = torch.linalg.svdvals(orthogonalized(x, coefficients=name, precision="float32"))
    return float(values.min()), float(values.max())


def written(value: float | None) -> str:
    """Return a number as it stands in the tables."""
    return "refused" if value is None else f"{value:.2g}"


def lines() -> Iterator[str]:
    """Yield the tables, line by line."""
    titles = ["Gaussian", *(f"{condition:.0e}" for condition in CONDITIONS)]
    yield "### Distance from the polar factor, in float32"
    yield ""
    yield f"| set | steps | singular values, Gaussian | {' | '.join(titles)} |"
    yield f"| --- | --: | --: |{' --: |' * len(titles)}"
    for name, chosen in SETS.items():
        low, high = interval(name)
        cells = [written(error(name, each, "float32")) for each in (None, *CONDITIONS)]
        yield f"| {name} | {chosen.steps} | {low:.3f} to {high:.3f} | {' | '.join(cells)} |"
    yield ""
    yield from _of(rounding, "Distance from the same steps in float64")


def _of(measured: Callable[[str, float | None, str], float | None], title: str) -> Iterator[str]:
    """Yield a table with a line for each set and condition, and a column for each way."""
    yield f"### {title}"
    yield ""
    yield f"| set | matrix | {' | '.join(WAYS)} |"
    yield f"| --- | --- |{' --: |' * len(WAYS)}"
    for name in SETS:
        for condition in (None, *CONDITIONS[-2:]):
            title = "Gaussian" if condition is None else f"{condition:.0e}"
            cells = [written(measured(name, condition, way)) for way in WAYS]
            yield f"| {name} | {title} | {' | '.join(cells)} |"


def launch_orthogonal(document: Path | None) -> None:
    """Measure the errors, and show them.

    Args:
        document: A document, whose section `orthogonal` takes the tables.
    """
    launch(ORTHOGONAL, [], lambda _: lines(), document)

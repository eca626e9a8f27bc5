"""The form of all functions of a kernel, whatever they go through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

JOB = (
    "next_entry",  # that no thread has taken yet
    "grain",  # how many entries a thread takes at once
    "entries",
    "table",  # address of int64: for each entry a tensor, and what of it
    "tensors",
    "addresses",  # address of int64: for each column, where the numbers of each tensor begin
    "totals",  # address of float64: for each reduction, its value for each tensor
    "partials",  # address of float64: for each reduction of a pass, its value for each entry
    "shapes",  # address of int64: for each tensor what it is as matrices, if that matters
)
"""The numbers of a job. A function of a kernel takes the address of one."""


def job(*, shapes: bool) -> list[str]:
    """Print the loading of a job, with the shapes of matrices or without."""
    used = JOB[1:] if shapes else JOB[1 : JOB.index("shapes")]
    return [f"{name} = load_int64(job, {JOB.index(name)})" for name in used]


def loads(base: str, names: Sequence[str]) -> list[str]:
    """Print the loading of integers that lie side by side."""
    return [f"{name} = load_int64({base}, {index})" for index, name in enumerate(names)]


def indented(depth: int, lines: Iterable[str]) -> list[str]:
    """Return lines further to the right."""
    return ["    " * depth + line for line in lines]

"""The tables of a record, for a terminal and for a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich import box
from rich.markup import escape
from rich.table import Table as RichTable

from schuss.cli.bench.record import LOOP, OPTIMIZERS, WHOLE, place_of

_STEP_HEADINGS: Final = (
    "ms",
    "× torch's\nfused",
    "×\nfloor",
    "× ours,\nper byte",
    "first step,\nms",
    "extra\nMiB",
)
_LOOP_HEADINGS: Final = ("ms", "× torch's\nfused", "first step,\nms")
_NOTHING: Final = "-"
_OPTIMIZER_HEADINGS: Final = (
    "optimizer",
    "passes",
    "bytes\na number",
    "of these\nread",
    "ms",
    "× AdamW",
    "× AdamW,\nper byte",
    "× AdamW,\nper byte read",
)
_CONTENDER: Final = "contender"
_WHOLE_HEADINGS: Final = (
    _CONTENDER,
    "ms",
    "× the first",
    "bytes\na number",
    "× floor,\nper byte",
    "extra\nMiB",
)
_QUIET: Final = 0.15  # cores; more than that, and differences below 10 % mean little


@dataclass
class Table:
    """A table as text.

    Attributes:
        title: The subject of the table.
        subtitle: More about it.
        headings: The headings of its columns; all but the first hold numbers.
        rows: Its rows. One of a single cell is the heading of those that follow.
        notes: Remarks on the rows, a line for each.
    """

    title: str
    subtitle: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def tables(record: dict[str, Any]) -> list[Table]:
    """Return the tables of a record, one for each workload."""
    results = record["results"]
    if record["kind"] == OPTIMIZERS:
        return [_of_optimizers(result) for result in results]
    if record["kind"] == WHOLE:
        return [_of_matrices(result) for result in results]
    several = len({result["optimizer"] for result in results}) > 1
    names = dict.fromkeys(result["workload"]["name"] for result in results)
    return [
        _table([r for r in results if r["workload"]["name"] == name], record["kind"], several)
        for name in names
    ]


def _table(results: Sequence[dict[str, Any]], kind: str, several: bool) -> Table:
    headings = (_CONTENDER, *(_LOOP_HEADINGS if kind == LOOP else _STEP_HEADINGS))
    table = _headed(results[0]["workload"], headings)
    for result in results:
        if several:
            table.rows.append((label(result["optimizer"]),))
        for row in result["contenders"]:
            cells = _loop_cells(row) if kind == LOOP else _step_cells(row)
            table.rows.append((row["title"], *cells))
        table.notes.extend(_notes(result, several))
    return table


def _of_optimizers(result: dict[str, Any]) -> Table:
    table = _headed(result["workload"], _OPTIMIZER_HEADINGS)
    for row in result["optimizers"]:
        cells = (
            str(row["passes"]),
            f"{row['bytes_per_number']:.0f}",
            f"{row['bytes_read']:.0f}",
            number(row["step_ms"]["median"]),
            _median(row["over_adamw"]),
            _spread(row["per_byte"]),
            _spread(row["per_byte_read"]),
        )
        table.rows.append((label(row["optimizer"]), *cells))
    table.notes.extend(_other_notes(result, ""))
    return table


def _of_matrices(result: dict[str, Any]) -> Table:
    table = _headed(result["workload"], _WHOLE_HEADINGS)
    for row in result["contenders"]:
        moved = row["bytes_per_number"]
        cells = (
            number(row["step_ms"]["median"]),
            _spread(row["over_ours"]),
            _NOTHING if moved is None else f"{moved:.0f}",
            _spread(row["over_floor_per_byte"]),
            _mebibytes(row["extra_bytes"]),
        )
        table.rows.append((row["name"], *cells))
    if result["steps"] > 1:
        table.notes.append(f"the time of a step is the mean of {result['steps']} in sequence")
    table.notes.extend(_other_notes(result, ""))
    return table


def _headed(workload: dict[str, Any], headings: tuple[str, ...]) -> Table:
    size = f"{workload['numbers']:,} parameters"
    if workload.get("tensors", 1) > 1:
        size = f"{workload['tensors']:,} tensors, {size}"
    return Table(workload["title"], size, headings)


def _loop_cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        number(row["step_ms"]["median"]),
        _spread(row["over_torch_fused"]),
        number(row["first_step_ms"]),
    )


def _step_cells(row: dict[str, Any]) -> tuple[str, ...]:
    first, extra = row["new_process"], row["extra_bytes"]
    if first is None:
        first_step = number(row["first_step_ms"])
    else:
        first_step = " / ".join(_or_nothing(first[key]) for key in ("cold", "cached"))
    return (
        number(row["step_ms"]["median"]),
        _spread(row["over_torch_fused"]),
        _spread(row["over_floor"]),
        _median(row["over_our_adamw_per_byte"]),
        first_step,
        _mebibytes(extra),
    )


def _mebibytes(extra: float | None) -> str:
    return _NOTHING if extra is None else f"{extra / 2**20:,.1f}"


def label(spec: str) -> str:
    """Return what an optimizer is called before the reader.

    Example:
        >>> label("sgd:lr=0.1,momentum=0.9")
        'sgd lr=0.1, momentum=0.9'
    """
    name, _, options = spec.partition(":")
    return f"{name} {options.replace(',', ', ')}".strip()


def number(value: float) -> str:
    """Return `value` with three digits that mean something.

    Example:
        >>> number(0.04567), number(7.4), number(1234.5)
        ('0.0457', '7.40', '1,234')
    """
    if value < 0.9995:
        return f"{value:.3g}"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{digits}f}"


def _or_nothing(value: float | None) -> str:
    return _NOTHING if value is None else number(value)


def _median(spread: dict[str, float] | None) -> str:
    return _NOTHING if spread is None else number(spread["median"])


def _spread(spread: dict[str, float] | None) -> str:
    if spread is None:
        return _NOTHING
    median, low, high = (number(spread[key]) for key in ("median", "low", "high"))
    return median if median == low == high else f"{median} [{low} {high}]"


def _notes(result: dict[str, Any], several: bool) -> Iterator[str]:
    whose = f"{label(result['optimizer'])}: " if several else ""
    rate = result.get("floor_gb_per_s")
    if rate is not None:
        moved = result["bytes"] / 1e6
        yield f"{whose}the floor moves {number(moved)} MB at {number(rate)} GB/s"
    chains = result.get("chain_over_ours")
    if chains is not None:
        yield f"{whose}torch takes {_spread(chains)} times as long as ours, with clip and mean"
    for row in result["contenders"]:
        failure = (row.get("new_process") or {}).get("failure")
        if failure:
            yield f"{whose}{row['title']} in a new process: {failure}"
    yield from _other_notes(result, whose)


def _other_notes(result: dict[str, Any], whose: str) -> Iterator[str]:
    others = max((heat["others"] or 0.0 for heat in result["heats"]), default=0.0)
    if others > _QUIET:
        yield f"{whose}other processes used {number(others)} cores meanwhile: measure again"
    for name, reason in result["left_out"].items():
        yield f"{whose}without {name}: {reason}"


def as_rich(table: Table) -> RichTable:
    """Return a table for the terminal."""
    shown = RichTable(
        title=escape(f"{table.title}: {table.subtitle}"),
        caption=escape("\n".join(table.notes)),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in table.headings:
        first = heading == table.headings[0]
        shown.add_column(heading, justify="left" if first else "right", no_wrap=first)
    for row in table.rows:
        shown.add_row(*map(escape, row), style="bold" if len(row) == 1 else None)
    return shown


def as_markdown(record: dict[str, Any]) -> str:
    """Return what a document says of a record: how it was measured, and its tables."""
    return "\n\n".join([_heading(record), *map(_markdown_table, tables(record))])


def _heading(record: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{package} {number}" for package, number in record["versions"].items() if number
    )
    settings = record["settings"]
    return (
        f"    {record['command']}\n\n"
        f"{record['date'][:10]}, {place_of(record)}, {settings['threads']} threads, "
        f"{settings['rounds']} rounds; {versions}."
    )


def _markdown_table(table: Table) -> str:
    aligned = ["---", *["--:"] * (len(table.headings) - 1)]
    headings = (heading.replace("\n", " ") for heading in table.headings)
    lines = [_line(headings), _line(aligned), *map(_row, table.rows)]
    notes = "".join(f"\n\n{note[0].upper()}{note[1:]}." for note in table.notes)
    return f"### {table.title}\n\n{table.subtitle}\n\n" + "\n".join(lines) + notes


def _row(cells: tuple[str, ...]) -> str:
    return _line(cells) if len(cells) > 1 else f"| **{cells[0]}** |"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""Puts the results of `make gpu` into the benchmarks: `python -m tests.gpu.publish build/gpu.json`.

The section of a document is replaced whole, so that all of its figures are of one run, on one card.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from schuss.cli.bench.markdown import write_section

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
SECTION, COMMAND = "gpu", "make"

TITLES = {
    "look": "a few rules beside the loop, and in graphs",
    "waits": "no wait in a step",
    "graphs": "captured steps beside plain ones",
    "agreement": "all optimizers and dtypes beside the loop",
    "twice": "the same bits twice",
    "codes": "codes beside those of the loop",
}
"""The parts that compare; all others take times."""


def written(record: Mapping[str, Any]) -> str:
    """Return a record as text for a document."""
    about, results = record["about"], record["results"]
    facts = ", ".join(f"{key} {about[key]}" for key in ("torch", "cuda", "triton", "commit"))
    lines = [f"{about['date']}, {about['card']}; {facts}.", ""]
    lines += ["| compared | right | wrong | not tried |", "|---|--:|--:|--:|"]
    for part, title in TITLES.items():
        verdicts = [result["ok"] for result in results if result["part"] == part]
        counts = " | ".join(str(verdicts.count(each)) for each in (True, False, None))
        lines.append(f"| {title} | {counts} |")
    lines += ["", "| timed | ms | GB/s | of a copy | times as fast | wanted | reached |"]
    lines.append("|---|--:|--:|--:|---|---|---|")
    lines += map(_row, _timed(results))
    lost = [*_lost(results)]
    return "\n".join([*lines, *(["", "Not right, or not reached:", "", *lost] if lost else [])])


def _timed(results: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for result in results:
        if result["part"] not in TITLES and ("ms" in result or "wanted" in result):
            yield result


def _row(result: Mapping[str, Any]) -> str:
    seconds = result.get("value") if result["part"] == "first_steps" else None
    ms = 1e3 * seconds if seconds is not None else result.get("ms")
    times = result.get("times_as_fast")
    beside = f"{times:.2f} {result['beside']}" if times is not None else ""
    reached = {True: "yes", False: "**no**", None: ""}[result["ok"]]
    cells = [
        result["case"],
        _number(ms, "{:.3f}"),
        _number(result.get("gbps"), "{:.0f}"),
        _number(result.get("of_copy"), "{:.3f}"),
        beside,
        result.get("wanted", ""),
        reached,
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _lost(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for result in results:
        if result["ok"] is False:
            told = (str(result.get("told") or "").splitlines() or [""])[-1]
            yield f"- {result['part']}: {result['case']}" + (f": {told}" if told else "")


def main(arguments: Sequence[str]) -> None:
    """Write the section of a record into the benchmarks, or into another document."""
    path, *others = arguments or ["build/gpu.json"]
    document = Path(others[0]) if others else DOCUMENT
    record = json.loads(Path(path).read_text(encoding="utf-8"))
    write_section(document, SECTION, written(record), COMMAND)
    sys.stdout.write(f"{document} has the figures of {record['about']['card']}\n")


if __name__ == "__main__":
    main(sys.argv[1:])

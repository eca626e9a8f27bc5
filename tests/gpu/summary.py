"""The results of a trial as tables to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]

SHOWN = 40
"""Results of a part that are shown at most, those that are not right first."""

_FORMS = {
    "ms": "{:.3f} ms",
    "gbps": "{:.0f} GB/s",
    "of_copy": "{:.3f} of a copy",
    "host_us": "host {:.0f} us",
    "value": "{:.3g}",
    "times_as_fast": "{:.2f} x",
}


def summary(about: Mapping[str, Any], results: Sequence[Result]) -> str:
    """Return tables of all results."""
    lines = [", ".join(f"{key} {value}" for key, value in about.items())]
    for part in dict.fromkeys(result["part"] for result in results):
        mine = [result for result in results if result["part"] == part]
        lines += ["", *_table(part, mine)]
    return "\n".join(lines)


def _table(part: str, results: Sequence[Result]) -> Iterator[str]:
    right = sum(result["ok"] is True for result in results)
    wrong = [result for result in results if result["ok"] is False]
    unknown = [result for result in results if result["ok"] is None]
    yield f"{part}: {right} right, {len(wrong)} wrong, {len(unknown)} open"
    shown = [*wrong, *unknown, *(r for r in results if r["ok"] and _measured(r))]
    yield from (f"  {_line(result)}" for result in shown[:SHOWN])
    if len(shown) > SHOWN:
        yield f"  and {len(shown) - SHOWN} more"


def _measured(result: Result) -> bool:
    return "ms" in result or result["part"] == "first_steps"


def _line(result: Result) -> str:
    facts = [f"{'WRONG ' if result['ok'] is False else ''}{result['case']:<52}"]
    for key, form in _FORMS.items():
        if isinstance(result.get(key), (int, float)):
            facts.append(form.format(result[key]))
    if result.get("times_as_fast") is not None:
        facts.append(f"as fast as {result['beside']}")
    if result.get("wanted"):
        facts.append(f"(wanted: {result['wanted']})")
    return "  ".join([*facts, str(result.get("told", ""))]).rstrip()

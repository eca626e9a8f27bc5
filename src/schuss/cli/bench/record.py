"""The record of a benchmark: the times, the command, the versions and the machine."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import torch

import schuss
from schuss.cli.bench.heats import Settings
from schuss.cli.contents import read_json
from schuss.cli.devices import CPU, title_of
from schuss.cli.errors import DataFileError
from schuss.cli.mnist.atomic import written_atomically

STEP: Final = "step"
LOOP: Final = "loop"
OPTIMIZERS: Final = "optimizers"
WHOLE: Final = "whole-matrices"

_FORMAT: Final = "schuss bench, record 1"
_PACKAGES: Final = ("numba", "numpy", "labml-nn", "pytorch-optimizer")


def make_record(
    kind: str, command: str, settings: Settings, results: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return the record of a benchmark, in what JSON has.

    Args:
        kind: `STEP`, `LOOP`, `OPTIMIZERS` or `WHOLE`.
        command: The command line that would measure it again.
        settings: How it was measured.
        results: The rows of the tables.
    """
    return {
        "format": _FORMAT,
        "kind": kind,
        "command": command,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "platform": platform.platform(),
            "device": title_of(settings.device),
        },
        "versions": {
            "schuss": schuss.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
        },
        "settings": asdict(settings),
        "results": list(results),
    }


def place_of(record: dict[str, Any]) -> str:
    """Return the name of the processor or of the device that was measured on."""
    device = record["settings"].get("device", CPU)  # which older records have not
    return str(record["machine"]["processor" if device == CPU else "device"])


def write_record(record: dict[str, Any], path: Path) -> None:
    """Write a record as JSON."""
    with written_atomically(path) as temporary:
        text = json.dumps(record, indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_record(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        DataFileError: There is none, or it is damaged or of another kind.
    """
    try:
        record = read_json(path)
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError:
        record = None
    kinds = (STEP, LOOP, OPTIMIZERS, WHOLE)
    if (
        not isinstance(record, dict)
        or record.get("format") != _FORMAT
        or record.get("kind") not in kinds
    ):
        raise DataFileError(f"{path} is no record of this version of `schuss bench`")
    return record


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()

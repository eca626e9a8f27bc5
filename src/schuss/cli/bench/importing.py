"""How long `import schuss` takes, in a new process, where torch is loaded already."""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Final

from schuss.cli.errors import UserError

AIM_MS: Final = 60
"""The time that an import may take; torch's own is two seconds."""

_PROGRAM: Final = """
import time
import torch

start = time.process_time()
import schuss

print(time.process_time() - start)
"""


def import_ms(rounds: int) -> float:
    """Return the median of the processor time of an import, in milliseconds.

    Processor time, so that what else runs on the machine counts for little.

    Args:
        rounds: In how many new processes to import.

    Raises:
        UserError: The import fails.
    """
    return 1000 * statistics.median(_seconds() for _ in range(rounds))


def _seconds() -> float:
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise UserError(f"schuss cannot be imported: {last}")
    return float(done.stdout)

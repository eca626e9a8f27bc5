"""Writes `docs/ledger.md`: measures all rows, or those of the algorithms that are named."""

import sys

from rich.progress import track

from tests.ledger.document import PATH, line, measured, write
from tests.ledger.rows import rows

again = set(sys.argv[1:])
kept = measured(PATH) if again else {}
lines = [
    line(row, None if row.algorithm in again else kept.get(str(row)))
    for row in track(rows(), "ledger")
]
write(PATH, lines)

"""Writes `docs/ledger.md`."""

from rich.progress import track

from tests.ledger.document import PATH, line, write
from tests.ledger.rows import rows

write(PATH, [line(row) for row in track(rows(), "ledger")])

"""Files that are there as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of `path` when the block succeeds.

    Example:
        >>> import tempfile
        >>> directory = Path(tempfile.mkdtemp())
        >>> with written_atomically(directory / "a.txt") as temporary:
        ...     _ = temporary.write_text("all of it")
        >>> [(file.name, file.read_text()) for file in directory.iterdir()]
        [('a.txt', 'all of it')]
    """
    # The suffix stays last, because matplotlib reads the format from it.
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

"""Files that are there as a whole or not at all."""

from pathlib import Path

import pytest

from schuss.cli.mnist.atomic import written_atomically


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")

    def write_half() -> None:
        with written_atomically(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [
        ("file.txt", "before")
    ]

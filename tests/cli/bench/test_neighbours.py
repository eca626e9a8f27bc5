"""Other processes at work."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from schuss.cli.bench import neighbours
from schuss.cli.bench.neighbours import Neighbours


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_another_process_at_work_is_seen() -> None:
    program = "import time\nend = time.time() + 20\nwhile time.time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", program]) as busy:
        watch = Neighbours()
        time.sleep(0.5)
        cores = watch.cores()
        busy.kill()
    assert cores is not None
    assert cores > 0.2  # about 1 if the machine has a core for it


def test_where_the_system_does_not_tell_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_STAT", tmp_path / "stat")
    assert Neighbours().cores() is None

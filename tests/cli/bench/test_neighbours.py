"""Other processes at work."""

import os
import sys
import time
from pathlib import Path

import pytest

from schuss.cli.bench import neighbours
from schuss.cli.bench.neighbours import Neighbours


def test_what_others_have_used_is_what_the_system_tells_less_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    stat = tmp_path / "stat"
    # user nice system idle iowait irq softirq steal guest guest_nice, in ticks
    stat.write_text("cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    monkeypatch.setattr(neighbours, "_STAT", stat)
    monkeypatch.setattr(time, "perf_counter", lambda: 100.0)
    monkeypatch.setattr(os, "times", lambda: (0.0, 0.0, 0.0, 0.0, 100.0))
    watch = Neighbours()
    busy, idle = 2 * ticks, 99 * ticks
    stat.write_text(f"cpu {busy} {busy} {busy} {idle} {idle} {busy} {busy} {busy} {idle} {idle}\n")
    monkeypatch.setattr(time, "perf_counter", lambda: 104.0)
    monkeypatch.setattr(os, "times", lambda: (1.0, 0.5, 0.25, 0.25, 104.0))
    # 6 * 2 seconds of processors, of which 2 are ours, in 4 seconds.
    assert watch.cores() == 2.5


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_linux_tells() -> None:
    cores = Neighbours().cores()
    assert cores is not None
    assert cores >= 0


def test_where_the_system_does_not_tell_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_STAT", tmp_path / "stat")
    assert Neighbours().cores() is None

"""Progress on a terminal and elsewhere."""

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.experiment import execute
from schuss.cli.mnist.progress import shown_download, shown_progress
from tests.cli.mnist.experiments import new_run, small


@pytest.fixture
def data(data_dir: Path) -> Dataset:
    return small(data_dir)


def test_a_log_gets_a_line_for_each_epoch_without_control_codes(
    data: Dataset, tmp_path: Path
) -> None:
    output = StringIO()
    console = Console(file=output, width=40)
    runs = [new_run("adam", data), new_run("sgd:lr=1e18", data)]
    with shown_progress(console, runs) as progress:
        execute(runs, data, tmp_path, progress)
    lines = output.getvalue().splitlines()
    pattern = (
        r"adam: epoch 3/3, train loss \d\.\d{4}, test loss \d\.\d{4}, "
        r"test accuracy \d+\.\d\d%, \d+ samples/s, 0 s left"
    )
    assert re.fullmatch(pattern, lines[2])
    assert lines[-1] == f"sgd: the loss is not finite at step {runs[1].curve.diverged_at}"
    assert "\x1b" not in output.getvalue()


def test_a_terminal_gets_bars(data: Dataset, tmp_path: Path) -> None:
    output = StringIO()
    console = Console(file=output, width=120, force_terminal=True, color_system=None)
    runs = [new_run("adam", data), new_run("sgd:lr=1e18", data)]
    with shown_progress(console, runs) as progress:
        execute(runs, data, tmp_path, progress)
    *_, last = output.getvalue().split("all runs")
    assert re.search(r"adam.*loss \d\.\d{4}  train +\d+\.\d\d%  test +\d+\.\d\d%.*samples/s", last)
    assert re.search(r"sgd.*diverged at step \d", last)


def test_a_download_has_a_bar_on_a_terminal() -> None:
    output = StringIO()
    console = Console(file=output, width=100, force_terminal=True, color_system=None)
    with shown_download(console, "some-file.gz", "http://example.org/some-file.gz") as bar:
        bar.total = 2_000_000
        bar.update(65_536)
        assert bar.total == 2_000_000
        bar.reset()
        bar.update(2_000_000)
        bar.close()
    assert re.search(r"some-file\.gz .*2\.0/2\.0 MB", output.getvalue())

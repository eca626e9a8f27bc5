"""The figure."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.figure import draw, write_figure
from schuss.cli.mnist.training import Curve, Run
from tests.cli.mnist.experiments import SETTINGS, new_run, small


@pytest.fixture
def data(data_dir: Path) -> Dataset:
    return small(data_dir)


def make_run(
    spec: str, data: Dataset, accuracy: tuple[float, ...] = (0.8, 0.95), diverged: int | None = None
) -> Run:
    """Return a run with a curve as if it had been trained."""
    run = new_run(spec, data, replace(SETTINGS, epochs=len(accuracy)))
    steps = list(range(1, 4 * len(accuracy) + 1))
    loss = [2.3 * 0.8**step for step in steps]
    if diverged is not None:
        steps, loss = steps[:diverged], [*loss[: diverged - 1], float("nan")]
    run.curve = Curve(
        step=steps,
        train_loss=loss,
        train_accuracy=[0.5] * len(steps),
        test_loss=[0.5] * len(accuracy),
        test_accuracy=list(accuracy),
        seconds=[1.0] * len(accuracy),
        diverged_at=diverged,
    )
    return run


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def look(line: Line2D) -> tuple[object, ...]:
    return line.get_color(), line.get_marker(), line.get_linestyle()


def test_both_panels_are_labelled(data: Dataset) -> None:
    figure = draw([make_run("adam", data)], data)
    loss, accuracy = figure.axes
    assert loss.get_ylabel() == "training loss, running mean"
    assert accuracy.get_ylabel() == "test accuracy"
    assert loss.get_xlabel() == accuracy.get_xlabel() == "epoch"
    titles = " ".join(text.get_text() for text in figure.texts)
    assert "MNIST" in titles
    assert "schedule cosine:warmup=3, seed 7" in titles


def test_the_legend_has_every_run_the_best_first(data: Dataset) -> None:
    runs = [
        make_run("sgd:lr=0.1,momentum=0.9", data, (0.7, 0.9)),
        make_run("adam:lr=9", data, (0.8, 0.99), diverged=6),
        make_run("radam", data, (0.8, 0.99)),
    ]
    figure = draw(runs, data)
    assert legend(figure) == [
        "radam (99.0 %)",
        "sgd lr=0.1, momentum=0.9 (90.0 %)",
        "adam lr=9 (diverged at step 6)",
    ]
    handles = [look(line) for line in figure.legends[0].get_lines()]
    lines = [look(line) for line in figure.axes[1].get_lines()]
    assert handles == [lines[2], lines[0], lines[1]]


def test_sixteen_runs_are_told_apart_and_each_has_a_line_on_both_panels(data: Dataset) -> None:
    runs = [make_run(f"adam:lr={rate}e-3", data) for rate in range(1, 17)]
    figure = draw(runs, data)
    assert len({look(line) for line in figure.axes[1].get_lines()}) == 16
    for axes in figure.axes:
        assert len(axes.get_lines()) == 16
    assert len(legend(figure)) == 16


def test_the_legend_lies_below_the_panels_and_within_the_figure(data: Dataset) -> None:
    spec = "adamw:lr=0.001,betas=(0.9, 0.95),weight_decay=0.05"
    runs = [make_run(f"{spec},eps={index}e-8", data) for index in range(1, 17)]
    figure = draw(runs, data)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    lowest = min(axes.xaxis.label.get_window_extent().y0 for axes in figure.axes)
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert 0 <= box.y0 < box.y1 <= lowest


@pytest.mark.parametrize("accuracy", [(1.0,), (0.0, 0.1), (0.97, 0.98, 1.0), (0.9999, 1.0)])
def test_any_accuracy_is_within_the_axis(data: Dataset, accuracy: tuple[float, ...]) -> None:
    axes = draw([make_run("adam", data, accuracy)], data).axes[1]
    bottom, top = axes.get_ylim()
    assert bottom <= min(accuracy)
    assert max(accuracy) <= top
    assert len(axes.get_yticks()) >= 2


def test_a_run_that_diverged_at_once_is_drawn(data: Dataset) -> None:
    figure = draw([make_run("sgd", data, (0.1,), diverged=1)], data)
    assert legend(figure) == ["sgd (diverged at step 1)"]


def test_the_file_is_a_png(data: Dataset, tmp_path: Path) -> None:
    write_figure([make_run("adam", data)], data, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert [path.name for path in tmp_path.glob("*.png")] == ["curves.png"]

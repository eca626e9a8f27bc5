"""The figure."""

import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from schuss.cli.bench.cases import Case
from schuss.cli.bench.figure import draw, figure_files
from tests.cli.bench.records import HEAT, heat_of, record_of, result_of

SGD = Case("sgd:lr=0.1,momentum=0.9", states=1)
OTHER = heat_of({"schuss-fused": [1.0], "schuss-adamw": [2.0], "floor": [1.5]})


def bars(axes: Axes) -> dict[int, tuple[float, float]]:
    """Return where each bar begins and ends, by its place from the top."""
    return {
        round(bar.get_y() + bar.get_height() / 2): (bar.get_x(), bar.get_x() + bar.get_width())
        for bar in axes.patches
        if isinstance(bar, Rectangle)
    }


def test_every_contender_has_a_bar_from_the_floor_to_its_median() -> None:
    (axes,) = draw(record_of(result_of(HEAT))).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["torch loop", "torch fused", "schuss fused"]
    ends = bars(axes)
    assert ends[0] == pytest.approx((1, (8 / 0.5 + 9 / 1) / 2))
    assert ends[2] == pytest.approx((1, 2))
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["12.5", "3.50", "2.00"]
    assert axes.get_xscale() == "log"
    low, high = axes.get_xlim()
    assert low < 1 < 16 < high


def test_there_is_a_row_for_each_optimizer_and_a_column_for_each_workload() -> None:
    results = [
        result_of(heat, case, workload)
        for heat, case in ((HEAT, Case("adamw", 2)), (OTHER, SGD))
        for workload in ("mnist", "tiny", "large")
    ]
    figure = draw(record_of(*results))
    assert len(figure.axes) == 6
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["MNIST CNN", "2000 tiny tensors", "one tensor of 64 Mi"] * 2
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "sgd lr=0.1, momentum=0.9" in texts


def test_a_bar_of_one_faster_than_the_floor_goes_to_the_left() -> None:
    (axes,) = draw(record_of(result_of(OTHER, SGD))).axes
    assert bars(axes)[0] == pytest.approx((1, 2 / 3))
    assert axes.get_xlim()[0] < 2 / 3


def test_one_that_is_missing_on_a_workload_has_no_bar_there() -> None:
    without = heat_of({"torch-fused": [2.0], "schuss-fused": [1.0], "floor": [0.5]})
    figure = draw(record_of(result_of(HEAT), result_of(without, workload="tiny")))
    first, second = figure.axes
    assert sorted(bars(first)) == [0, 1, 2]
    assert sorted(bars(second)) == [1, 2]
    assert "not measured" in [text.get_text() for text in second.texts]


def test_text_lies_within_the_figure() -> None:
    results = [result_of(HEAT, workload=name) for name in ("mnist", "resnet50", "gpt2", "tiny")]
    figure = draw(record_of(*results))
    figure.draw_without_rendering()
    for text in [*figure.texts, *figure.axes[0].get_yticklabels(), *figure.axes[-1].texts]:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.y1


def test_the_files_are_of_the_formats_that_are_asked_for() -> None:
    files = figure_files(record_of(result_of(HEAT)), "png", "svg")
    assert list(files) == ["png", "svg"]
    assert files["png"].startswith(b"\x89PNG\r\n")
    assert "<svg" in files["svg"].decode()

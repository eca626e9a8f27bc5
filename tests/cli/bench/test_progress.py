"""Live progress."""

from io import StringIO

from rich.console import Console

from schuss.cli.bench.progress import shown_progress


def output(*, terminal: bool) -> str:
    file = StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    with shown_progress(console) as progress:
        progress.begins("adamw, MNIST CNN", 3)
        progress.prepared("floor")
        progress.round_done()
        progress.begins("adamw, [large]", 1)
    return file.getvalue()


def test_a_log_has_a_line_for_each_heat() -> None:
    assert output(terminal=False) == "adamw, MNIST CNN\nadamw, [large]\n"


def test_a_terminal_has_bars_that_are_full_in_the_end() -> None:
    text = output(terminal=True)
    assert "floor is ready" in text
    assert "2/3" in text
    assert "adamw, [large]" in text
    last = text.rsplit("adamw, MNIST CNN", 1)[1]
    assert "3/3" in last
    assert "1/1" in last

"""The tables of a record."""

from io import StringIO

from rich.console import Console

from schuss.cli.bench.cases import Case
from schuss.cli.bench.heats import Heat
from schuss.cli.bench.tables import as_markdown, as_rich, tables
from tests.cli.bench.records import HEAT, heat_of, record_of, result_of

SGD = Case("sgd:lr=0.1,momentum=0.9", states=1)


def test_there_is_a_table_for_each_workload_and_a_row_for_each_contender() -> None:
    record = record_of(result_of(HEAT), result_of(HEAT, workload="tiny"))
    mnist, tiny = tables(record)
    assert (mnist.title, mnist.subtitle) == ("MNIST CNN", "8 tensors, 431,080 parameters")
    assert tiny.title == "2000 tiny tensors"
    titles = [row[0] for row in mnist.rows]
    assert titles == ["torch loop", "torch fused", "schuss fused", "floor"]
    expected = ("1.50", "0.583 [0.542 0.625]", "2.00", "1.00", "1,234 / 567", "1.0")
    assert mnist.rows[2][1:] == expected
    assert mnist.rows[3][2:4] == ("0.292 [0.271 0.312]", "1.00")
    assert "without labml: labml_nn is not installed" in mnist.notes


def test_several_optimizers_have_a_heading_each() -> None:
    heat = heat_of({"schuss-fused": [1.0], "schuss-adamw": [2.0], "floor": [1.0]})
    (table,) = tables(record_of(result_of(HEAT), result_of(heat, SGD)))
    headings = [row for row in table.rows if len(row) == 1]
    assert headings == [("adamw",), ("sgd lr=0.1, momentum=0.9",)]
    assert len({len(row) for row in table.rows}) == 2


def test_chains_are_compared_with_each_other() -> None:
    heat = heat_of({"torch-chain": [3.0, 9.0], "schuss-chain": [2.0, 3.0], "floor": [1.0, 1.0]})
    (table,) = tables(record_of(result_of(heat)))
    note = "torch takes 2.25 [1.88 2.62] times as long as ours, with clip and mean"
    assert note in table.notes


def test_busy_neighbours_are_told() -> None:
    busy = Heat(HEAT.runners, others=0.5)
    (table,) = tables(record_of(result_of(busy)))
    assert "other processes used 0.5 cores meanwhile: measure again" in table.notes
    (table,) = tables(record_of(result_of(HEAT)))
    assert "other" not in " ".join(table.notes)


def test_a_table_fits_into_a_page() -> None:
    output = StringIO()
    console = Console(file=output, width=120)
    console.print(as_rich(tables(record_of(result_of(HEAT)))[0]))
    text = output.getvalue()
    assert "…" not in text
    assert "schuss fused" in text
    assert "0.583 [0.542 0.625]" in text
    assert "without labml" in text


def test_a_document_has_the_command_the_machine_and_the_tables() -> None:
    record = record_of(result_of(HEAT), result_of(HEAT, SGD))
    lines = as_markdown(record).splitlines()
    assert lines[0] == "    schuss bench step --rounds 2"
    assert record["machine"]["processor"] in lines[2]
    assert f"torch {record['versions']['torch']}" in lines[2]
    assert "### MNIST CNN" in lines
    heading = lines.index(
        "| contender | ms | × torch's fused | × floor | × ours, per byte "
        "| first step, ms | extra MiB |"
    )
    assert lines[heading + 1] == "| --- | --: | --: | --: | --: | --: | --: |"
    assert lines[heading + 2] == "| **adamw** |"
    assert lines[heading + 5].startswith("| schuss fused | 1.50 | 0.583 [0.542 0.625] | 2.00 |")

"""Sections of a document."""

from pathlib import Path

import pytest

from schuss.cli.bench.markdown import markers, read_document, write_section
from schuss.cli.errors import DataFileError

PAGES = Path(__file__).parents[3] / "docs"
BEGIN, END = markers("step")
TEXT = f"# Title\r\n\nbefore {BEGIN}\nold | numbers\n{END} after ×\n\n{BEGIN[:-4]}2 -->\nthe end"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_bytes(TEXT.encode())
    return path


def test_only_what_stands_between_the_markers_is_replaced(page: Path) -> None:
    write_section(page, "step", "new\nnumbers")
    expected = TEXT.replace("\nold | numbers\n", "\n\nnew\nnumbers\n\n")
    assert page.read_bytes().decode() == expected


def test_writing_again_changes_nothing(page: Path) -> None:
    write_section(page, "step", "numbers")
    once = page.read_bytes()
    write_section(page, "step", "numbers")
    assert page.read_bytes() == once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_document_without_the_markers_is_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(DataFileError) as caught:
        write_section(path, "step", "numbers")
    assert "no section 'step' for the tables" in str(caught.value)
    assert f"{BEGIN}\n{END}" in str(caught.value)
    assert path.read_text() == text


def test_a_document_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"cannot read .*page\.md: No such file"):
        read_document(tmp_path / "page.md", "step")


@pytest.mark.parametrize("section", ["step", "optimizers", "loop"])
def test_the_page_of_benchmarks_has_its_sections(section: str) -> None:
    before, after = read_document(PAGES / "benchmarks.md", section)
    assert before.startswith("# Benchmarks")
    assert "Rows that are lost, and why" in after

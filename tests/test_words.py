"""Sentences of the documentation and of docstrings name their subject with a noun."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schuss import list_optimizers, transforms

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "schuss"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

CODE = re.compile(r"^```.*?^```$|\$\$.*?\$\$", re.MULTILINE | re.DOTALL)
# Empty lines, items of lists, rows and cells of tables, headings, and arguments in docstrings.
STARTS = re.compile(
    r"\n\s*(?:[-*#>]+|\d+\.|\*{0,2}\w+(?:, \*{0,2}\w+)*:) +|\n\s*\n|\s*\|\s*|\n(?= *Args:)"
)
ENDS = re.compile(r"(?<=[.!?:])[)*\"”]*\s+")


def sentences(text: str) -> list[str]:
    """Return the sentences of a page or a docstring, each on one line, without blocks of code."""
    prose = CODE.sub("\n\n", "\n" + text)
    pieces = (" ".join(piece.split()) for piece in STARTS.split(prose))
    return [each for piece in pieces for each in ENDS.split(piece) if each]


def without_a_noun(text: str) -> list[str]:
    """Return the sentences that begin with a pronoun in place of a noun, and are no questions."""
    found = [s.lstrip("*_(\"'") for s in sentences(text)]
    return [
        s for s in found if re.match(r"(What|Who|That)\b", s) and not s.rstrip("*_").endswith("?")
    ]


def docstrings(source: str) -> Iterator[str]:
    """Yield the strings of a module that stand alone: of it, its members and its attributes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield text


@pytest.mark.parametrize(
    "text",
    [
        "What is left is a row.",
        "A row is left. Who reads it is told.",
        "Rows are left.\nThat is enough.",
        "- What is kept",
        "A row.\n\n## What is kept",
        "| key | What it is |",
        "Summary.\n\nArgs:\n    share: What counts from here on.",
        "**That works.** It does.",
    ],
)
def test_a_pronoun_in_place_of_a_noun_is_found(text: str) -> None:
    assert len(without_a_noun(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "What is a row?",
        "The row that is left is\nThat's.",
        "Whatever holds it, the row is left.",
        "```text\nWhat is left is a row.\n```",
        "A row is what is left.",
        "**What is known of the model?** A recipe.",
    ],
)
def test_questions_code_and_nouns_are_not_found(text: str) -> None:
    assert without_a_noun(text) == []


def test_docstrings_are_those_of_modules_classes_functions_and_attributes() -> None:
    source = '"One."\nX = "no"\n"Two."\nclass A:\n    "Three."\n    def b(self): "Four."'
    assert sorted(docstrings(source)) == ["Four.", "One.", "Three.", "Two."]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_of_pages_have_a_noun_as_their_subject(page: Path) -> None:
    assert without_a_noun(page.read_text(encoding="utf-8")) == []


def test_meanings_of_hyper_parameters_have_a_noun_as_their_subject():
    classes = [info.cls for info in list_optimizers()]
    classes += [getattr(transforms, name) for name in transforms.__all__]
    for cls in classes:
        assert without_a_noun("\n\n".join(h.explained for h in cls.hypers.values())) == [], cls


def test_sentences_of_docstrings_have_a_noun_as_their_subject() -> None:
    found = [
        (str(path.relative_to(ROOT)), sentence)
        for path in sorted(SOURCE.rglob("*.py"))
        for text in docstrings(path.read_text(encoding="utf-8"))
        for sentence in without_a_noun(text)
    ]
    assert found == []

"""What pages are made of, piece by piece."""

import re
import statistics
from pathlib import Path
from typing import Any

import pytest

import schuss
from docs.site import tables
from docs.site.curves import losses
from docs.site.equations import Equation
from docs.site.families import FAMILIES
from docs.site.markdown import entries, prose, sections
from docs.site.mathml import mathml
from docs.site.pages import inherited, legend
from docs.site.source import equations_beside, source_of
from docs.site.tree import TRANSFORMS
from docs.site.written import relinked, with_output
from schuss import Optimizer, list_optimizers, transforms
from schuss.cli.trained.document import Row
from schuss.cli.trained.figure import write_figure
from schuss.cli.trained.outcome import Outcome, Trial
from schuss.declarations import hyper, rate
from schuss.domains import whole
from schuss.transforms import CorrectedDecay, InUpdate, L1Decay, WeightDecay
from tests.algorithms import EVERY

ROOT = Path(__file__).parents[2]
DOCSTRING = """Do it.

More, with `code`.

Args:
    x: A number, on
        two lines.
    **options: Others.

Raises:
    ValueError: It is none.
"""


def test_a_docstring_is_taken_apart_and_made_markdown() -> None:
    assert list(sections(DOCSTRING)) == ["", "Args", "Raises"]
    assert entries(sections(DOCSTRING)["Args"]) == {
        "x": "A number, on two lines.",
        "options": "Others.",
    }
    assert prose(DOCSTRING) == (
        "Do it.\n\nMore, with `code`.\n\n*Args*\n\n- `x`: A number, on two lines.\n"
        "- `options`: Others.\n\n*Raises*\n\n- `ValueError`: It is none."
    )


def test_doctests_become_code() -> None:
    assert prose(">>> 1 + 1\n2") == "```pycon\n>>> 1 + 1\n2\n```\n"


def test_every_optimizer_is_in_one_family() -> None:
    members = [name for family in FAMILIES for name in family.members]
    assert sorted(members) == [info.name for info in list_optimizers()]


def test_every_optimizer_has_its_rows() -> None:
    for info in list_optimizers():
        assert tables.ledger().of(info.name)
        assert len(tables.trained().of(info.name)) == 1
        assert len(tables.timed().of(info.name)) <= 1


def test_rows_are_those_of_a_name_and_not_of_a_longer_one() -> None:
    (table,) = tables.tables_of(
        "| name | x |\n| --- | --- |\n| [sgd](a) | 1 |\n| [sgdp](b) | 2 |\n"
    )
    assert table.of("sgd") == [{"name": "[sgd](a)", "x": "1"}]


def test_curves_are_read_as_they_were_drawn(tmp_path: Path) -> None:
    curves = {"adam": (2.0, 0.5, 0.01), "sgd": (1.5, 1.0, 0.2)}
    made = [
        Row(
            (
                Outcome(
                    Trial("digits", name, name, "constant", 3, 0),
                    curve[-1],
                    0.1,
                    0.9,
                    3,
                    curve,
                    curve,
                    1.0,
                    False,
                    {},
                    8.0,
                ),
            )
        )
        for name, curve in curves.items()
    ]
    write_figure(made, tmp_path / "x.svg")
    read = losses((tmp_path / "x.svg").read_text())
    assert read == {name: pytest.approx(curve, rel=1e-4) for name, curve in curves.items()}


def test_curves_of_the_document_are_near_its_losses() -> None:
    # A mean over the last epoch is not the loss after it, but of its size.
    read = losses((ROOT / "docs" / "trained-digits.svg").read_text())
    assert read.keys() == {*EVERY}
    ratios = [
        curve[-1] / float(tables.trained().of(name)[0]["training loss"].split()[0])
        for name, curve in read.items()
    ]
    assert 0.5 < statistics.median(ratios) < 2


def test_the_legend_binds_symbols_to_arguments_with_their_defaults_and_domains() -> None:
    class Warm(Optimizer):
        lr: float = rate(default=0.5)
        warmup: int = hyper("t_w", "steps | of warm-up", whole(1), default=3)

    (own,) = [line for line in legend(Warm).splitlines() if "warmup" in line]
    assert own == (
        "| *t*<sub>w</sub> | `warmup` <small>3</small> | Steps \\| of warm-up. "
        f"<small>must {whole(1).allowed}</small> |"
    )
    assert "| *γ* | `lr` <small>0.5</small> |" in legend(Warm)
    assert "maximize" not in legend(Warm)


def equations_on(cls: type[Any]) -> tuple[list[Equation], list[Equation]]:
    """Return the equations of a page, and those that stand beside a line of its code."""
    source = source_of(cls.__module__)
    found = equations_beside(source, cls.__name__)
    own = [each for row in source.rows_of(cls.__name__, found) for each in row.equations]
    rest = [each for each in found if each not in own]
    inherit = [each for _, rows in inherited(cls, rest) for row in rows for each in row.equations]
    return found, [each for each in found if each in [*own, *inherit]]


def test_nearly_all_equations_stand_beside_the_line_that_computes_them() -> None:
    classes = [getattr(transforms, name) for name in TRANSFORMS]
    pages = [*map(equations_on, [*classes, *(info.cls for info in list_optimizers())])]
    beside = sum(len(some) for _, some in pages) / sum(len(found) for found, _ in pages)
    assert beside > 0.85


def test_an_inherited_rule_has_the_equations_of_the_class_in_place_of_its_own() -> None:
    found, beside = equations_on(schuss.AMSGrad)
    assert beside == found
    ((_, rows),) = inherited(schuss.AMSGrad, found)
    shown = [each.latex.partition(" = ")[0] for row in rows for each in row.equations]
    assert shown == ["m_t", "v_t", r"v^{\max}_t", r"\hat m_t", r"\hat v_t", "u_t"]
    ((_, of_adamw),) = inherited(schuss.AdamW, equations_on(schuss.AdamW)[0])
    assert "Adam's" not in str(of_adamw)


@pytest.mark.parametrize("decay", [WeightDecay, L1Decay, CorrectedDecay, InUpdate])
def test_decays_have_a_legend_too(decay: type[WeightDecay]) -> None:
    assert "| *λ* | `weight_decay` <small>0.0</small> | Coefficient. <small>must" in legend(decay)
    assert ("`max_lr`" in legend(decay)) == (decay is CorrectedDecay)
    assert ("`weight_decouple` <small>True" in legend(decay)) == (decay is not CorrectedDecay)


def test_formulas_are_elements_and_wrong_ones_an_error() -> None:
    assert mathml(r"\hat m_t", display=False).startswith("<math>")
    assert 'display="block"' in mathml("x", display=True)
    with pytest.raises(Exception, match="nosuch"):
        mathml(r"\nosuch", display=False)


PAGES = {
    "docs/a.md": "a",
    "docs/architecture/b.md": "architecture/b",
    "ARCHITECTURE.md": "architecture",
    "src/x.py": "optimizers/x",
}


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("[a](docs/a.md#part)", "ARCHITECTURE.md", "[a](a.md#part)"),
        ("[a](../ARCHITECTURE.md)", "docs/a.md", "[a](architecture.md)"),
        ("[a](../../ARCHITECTURE.md)", "docs/architecture/b.md", "[a](../architecture.md)"),
        ("[x](../src/x.py)", "docs/a.md", "[x](optimizers/x.md)"),
        ("[`y`](../src/y.py)", "docs/a.md", "`y`"),
        ("[w](https://w.org) ![p](p.svg) [h](#here)", "docs/a.md", None),
    ],
)
def test_links_lead_to_pages(text: str, path: str, expected: str | None) -> None:
    assert relinked(text, path, PAGES) == (text if expected is None else expected)


def test_what_a_block_prints_stands_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "A\n\n```python\nx = 2\n```\n\n```python\nprint(x + 1)\n```\n\nB\n"
    shown = with_output(text, "page")
    assert shown == text.replace(
        "print(x + 1)\n```", "print(x + 1)\n```\n\n```{code-block} text\n\n3\n```"
    )
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError):
        with_output("```python\n1 / 0\n```", "page")
    assert Path.cwd() == tmp_path


def test_long_output_can_be_hidden() -> None:
    shown = with_output("```python\nfor i in range(40): print(i)\n```", "page")
    assert "<summary>It prints 40 lines</summary>" in shown


def test_every_variable_of_the_environment_is_described() -> None:
    text = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    read = set()
    for path in (ROOT / "src").rglob("*.py"):
        read |= set(re.findall(r"\"((?:SCHUSS|XDG)_[A-Z_]+)\"", path.read_text(encoding="utf-8")))
    assert len(read) >= 3
    assert {name for name in read if f"`{name}`" not in text} == set()


def test_every_transform_has_a_page() -> None:
    assert len(TRANSFORMS) == 23

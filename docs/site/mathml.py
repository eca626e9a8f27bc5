"""Formulas as MathML, made when the site is built, in a font that comes with it."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from fontTools.subset import Options, Subsetter, load_font, save_font
from math_core import LatexToMathML

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

FONT = "STIXTwoMath.woff"
_CONVERTER = LatexToMathML(annotation=False)
_IS_TEXT = re.compile(r"(<mtd[^>]*>)<mo>=</mo>(<mtext>[^<]*</mtext></mtd>)")
"""A cell of a sign and text, in which MathML leaves no space around the sign."""


def mathml(latex: str, *, display: bool) -> str:
    """Return a formula as an element of a page."""
    made = _CONVERTER.convert_with_local_state(latex, displaystyle=display)
    return _IS_TEXT.sub(r'\1<mspace width="0.28em"/><mo>=</mo><mspace width="0.28em"/>\2', made)


def write_font(folder: Path) -> None:
    """Write the font of formulas, with Latin and Greek letters and what formulas are made of.

    All of it would be a megabyte and a half.
    """
    options = Options(flavor="woff", layout_features=["*"])
    path = files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"
    font = load_font(str(path), options)
    subsetter = Subsetter(options)
    letters = [*range(0x20, 0x250), *range(0x2B0, 0x400), *range(0x2000, 0x2400)]
    subsetter.populate(unicodes=[*letters, *range(0x27C0, 0x2B00), *range(0x1D400, 0x1D800)])
    subsetter.subset(font)
    _narrow_radicals(font)
    folder.mkdir(parents=True, exist_ok=True)
    save_font(font, str(folder / FONT), options)


def _narrow_radicals(font: Any) -> None:
    """Make all radicals of a font as wide as the smallest one.

    Chromium (156) leaves as much room for every root as the widest radical would take.
    """
    radical = font.getBestCmap()[ord("√")]
    variants = font["MATH"].table.MathVariants
    made = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(radical)]
    names = {record.VariantGlyph for record in made.MathGlyphVariantRecord}
    names |= {part.glyph for part in made.GlyphAssembly.PartRecords}
    width, _ = font["hmtx"][radical]
    for name in sorted(names - {radical}):
        advance, bearing = font["hmtx"][name]
        glyph = font["glyf"][name]
        glyph.coordinates.scale((width / advance, 1))
        glyph.coordinates.toInt()
        glyph.recalcBounds(font["glyf"])
        font["hmtx"][name] = width, round(bearing * width / advance)


def _visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext(), display=False))
    raise nodes.SkipNode


def _visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    formula = mathml(node.astext(), display=True)
    translator.body.append(f'<div class="display">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(_visit_inline, None),
        block_renderers=(_visit_block, None),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}

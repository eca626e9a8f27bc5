"""Sphinx's configuration of the site. `make docs` writes the pages first, then calls Sphinx."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import schuss

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "schuss"
author = "The schuss authors"
version = release = schuss.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs.site.mathml"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
napoleon_use_rtype = False
default_role = "code"  # of what stands in backticks, as in Markdown

html_theme = "furo"
html_title = "schuss"
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["style.css"]
html_favicon = str(Path(__file__).parent / "static" / "schuss.svg")
html_logo = html_favicon
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
highlight_language = "text"  # of blocks that name none
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_codeblock_linenos_style = "inline"


def _from_markdown(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Put formulas and addresses of a docstring as reStructuredText has them."""
    text = re.sub(r"(?<!\\)\$([^$\n]+)\$", r":math:`\1`", "\n".join(lines))
    lines[:] = re.sub(r"<(https?://\S+)>", r"\1", text).split("\n")


def setup(app: Sphinx) -> None:
    """Read docstrings as Markdown."""
    app.connect("autodoc-process-docstring", _from_markdown, priority=400)

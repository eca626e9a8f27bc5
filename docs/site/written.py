"""Pages that are written by hand: their links, and what their code prints."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from docs.site.engine import without_paths
from docs.site.markdown import code, details

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s#]*)(#[^()\s]*)?\)")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONG = 30
"""Lines of output beyond which it scrolls, and can be hidden."""


def relinked(text: str, path: str, pages: Mapping[str, str]) -> str:
    """Return a page whose links lead to other pages of the site.

    A link to a file of the repository that has no page becomes its name.

    Args:
        text: The page.
        path: Its file in the repository.
        pages: The page of the site for each file, without its suffix.
    """

    def replaced(match: re.Match[str]) -> str:
        image, label, target, anchor = match[1], match[2], match[3], match[4] or ""
        if image or not target or ":" in target:
            return match[0]
        file = os.path.normpath(PurePosixPath(path).parent / target)
        if file not in pages:
            return label
        folder = PurePosixPath(pages[path]).parent
        return f"[{label}]({os.path.relpath(f'{pages[file]}.md', folder)}{anchor})"

    return _LINK.sub(replaced, text)


def with_output(text: str, name: str) -> str:
    """Return a page that has been run from top to bottom, with what each of its blocks prints."""
    namespace: dict[str, Any] = {"__name__": name}

    def run(match: re.Match[str]) -> str:
        printed = io.StringIO()
        blanks = "\n" * text.count("\n", 0, match.start(1))
        with contextlib.redirect_stdout(printed):
            exec(compile(blanks + match[1], name, "exec"), namespace)
        return match[0] + _shown(without_paths(printed.getvalue()))

    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return _BLOCK.sub(run, text)
        finally:
            os.chdir(before)


def _shown(output: str) -> str:
    if not output:
        return ""
    lines = len(output.splitlines())
    block = code(output, language="text")
    if lines > LONG:
        block = details(f"It prints {lines} lines", block, is_open=True)
    return f"\n\n{block}"


def written_pages(root: Path) -> dict[str, str]:
    """Return the page of the site for each file that is written by hand, or by a command."""
    docs = root / "docs"
    files = [*docs.glob("*.md"), *docs.glob("architecture/*.md")]
    pages = {
        str(file.relative_to(root)): str(file.relative_to(docs).with_suffix(""))
        for file in sorted(files)
    }
    return pages | {
        "README.md": "index",
        "ARCHITECTURE.md": "architecture",
        "CONTRIBUTING.md": "contributing",
        "CHANGELOG.md": "changelog",
    }

"""`python -m docs.site`: build the site from the sources, the pages and the running engine."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from docs.site.tables import ROOT


def main() -> int:
    """Write the pages, and let Sphinx make the site of them; warnings are errors."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "build" / "docs")
    parser.add_argument("--sources", type=Path, help="where the pages are kept; beside OUT")
    given = parser.parse_args()
    sources = given.sources or given.out.with_name(f"{given.out.name}-sources")
    os.environ.setdefault("SCHUSS_CACHE_DIR", str(ROOT / "build" / "cache"))

    from sphinx.cmd.build import main as sphinx

    from docs.site.mathml import write_font
    from docs.site.tree import write_sources

    shutil.rmtree(sources, ignore_errors=True)
    if (given.out / ".buildinfo").exists():  # pages of an earlier build may have other names
        shutil.rmtree(given.out)
    write_sources(sources)
    configuration = str(Path(__file__).parent)
    status = sphinx(
        [
            "-b",
            "html",
            "-W",
            "--keep-going",
            "-q",
            "-E",
            "-c",
            configuration,
            str(sources),
            str(given.out),
        ]
    )
    write_font(given.out / "_static" / "fonts")
    return status


if __name__ == "__main__":
    sys.exit(main())

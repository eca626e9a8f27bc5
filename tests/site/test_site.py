"""The site as a whole: it builds without a warning, and its pages have all that they promise."""

import re
import subprocess
import sys
from pathlib import Path

from docs.site.reference import left_out
from docs.site.tree import DECAYS, TRANSFORMS
from schuss import list_optimizers
from tests.algorithms import TRACED
from tests.site.html import Page, broken, read

ROOT = Path(__file__).parents[2]
OPTIMIZERS = {f"optimizers/{info.name}" for info in list_optimizers()}
OF_ALL_SHAPES = {f"optimizers/{name}" for name in TRACED}
TRANSFORM_PAGES = {f"transforms/{name.lower()}" for name in TRANSFORMS}
DECAY_PAGES = {f"decay/{name.lower()}" for name in DECAYS}


def missing(name: str, page: Page) -> list[str]:
    """Return what a page of an optimizer or a transform should have, and has not."""
    needed = {
        "a title": "h1",
        "code": ".does",
    }
    if name != "transforms/skipnonfinite":  # there is none to write
        needed["an equation"] = "math"
    if name in OPTIMIZERS:
        needed |= {
            "a paper": ".paper",
            "numbers": ".facts",
            "a ledger": ".wide",
        }
    if name in OF_ALL_SHAPES:
        needed["a curve"] = ".curve"
    if name in OF_ALL_SHAPES | TRANSFORM_PAGES:
        needed["a program or a kernel"] = "details"
    needed["its hyper-parameters"] = ".legend"
    texts = page.texts
    faults = [f"{name} lacks {what}" for what, key in needed.items() if not any(texts.get(key, []))]
    if not any("def " in code for code in texts[".does"]):
        faults.append(f"{name} has no rule")
    if name in OPTIMIZERS and not any("lr" in legend for legend in texts[".legend"]):
        faults.append(f"{name} has no learning rate")
    return faults


def unread(name: str, page: Page) -> list[str]:
    """Return marks of Markdown and TeX that no page should show."""
    prose = " ".join(text for key in ("p", "h1", "h2", "td") for text in page.texts.get(key, []))
    marks = re.findall(r"\$\$|:::|```|\{container\}|\\(?:frac|beta|begin)|^##? ", prose)
    return [f"{name} shows {mark}" for mark in marks]


def test_the_site_builds_and_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "site"
    command = [sys.executable, "-m", "docs.site", out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.resolve(): read(path) for path in sorted(out.rglob("*.html"))}
    names = {str(path.relative_to(out.resolve()).with_suffix("")): p for path, p in pages.items()}
    described = OPTIMIZERS | TRANSFORM_PAGES | DECAY_PAGES
    assert described <= names.keys()
    assert [fault for name in sorted(described) for fault in missing(name, names[name])] == []
    assert [fault for name, page in names.items() for fault in unread(name, page)] == []
    assert broken(pages) == []
    styles = "".join(path.read_text(encoding="utf-8") for path in out.rglob("*.css"))
    fonts = re.findall(r"url\(\"?([^\")]+)\"?\)", styles)
    assert [font for font in fonts if font.startswith(("http", "//"))] == []
    assert (out / "_static" / "fonts" / "STIXTwoMath.woff").exists()


def test_every_public_name_is_on_a_page() -> None:
    assert left_out() == set()

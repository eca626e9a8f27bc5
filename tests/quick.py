"""The tests that a change asks for: `make quick` runs `python -m tests.quick`.

A module's tests are in the file or the folder that has its name, or where there is none, in those
of the folder that mirrors its own. The examples in the module are tests too. Beside these, the
optimizers that have changed go through the conformance tests, or if others than optimizers have
changed, a few of every kind.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import schuss

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src/schuss")
SITE = Path("docs/site")
OPTIMIZERS = PACKAGE / "optimizers"
OF_EVERY_KIND = ("adamw", "sgd", "lamb", "adafactor")
"""Elementwise, with an option of state, with norms, with rows and columns."""


def changed(root: Path = ROOT) -> list[Path]:
    """Return the files that differ from where this branch left `main`, or from the last commit."""
    branches = _git(root, "branch", "--all", "--format=%(refname:short)")
    main = next((name for name in ("main", "origin/main") if name in branches), "HEAD")
    (base,) = _git(root, "merge-base", "HEAD", main)
    names = _git(root, "diff", "--name-only", base)
    names += _git(root, "ls-files", "--others", "--exclude-standard")
    return sorted({Path(name) for name in names if (root / name).exists()})


def asked_by(path: Path) -> list[Path]:
    """Return the test files that a file asks for, and the file itself if it has examples."""
    if path.suffix == ".md":
        return [Path("tests/test_package.py")]
    if path.suffix != ".py":
        return []
    if path.parts[0] == "tests":
        return [path] if path.name.startswith("test_") else _in_folder(path.parent)
    if path.is_relative_to(SITE):
        return [path, *_in_folder(Path("tests/site"))]
    if not path.is_relative_to(PACKAGE):
        return []
    folder = Path("tests") / path.relative_to(PACKAGE).parent
    mirror = folder / f"test_{path.stem}.py"
    if (ROOT / mirror).exists():
        return [path, mirror]
    many = folder / path.stem
    return [path, *_in_folder(many if (ROOT / many).is_dir() else folder)]


def names_of(paths: Iterable[Path]) -> list[str]:
    """Return the optimizers that are to go through the conformance tests."""
    sources = [path for path in paths if path.is_relative_to(PACKAGE) and path.suffix == ".py"]
    known = {info.name for info in schuss.list_optimizers()}
    ours = [path.stem for path in sources if path.parent == OPTIMIZERS and path.stem in known]
    return ours + ([*OF_EVERY_KIND] if len(ours) < len(sources) else [])


def main(arguments: list[str]) -> int:
    """Run pytest on what has changed, with more arguments for it."""
    paths = changed()
    files = list(dict.fromkeys(str(test) for path in paths for test in asked_by(path)))
    runs = [files] if files else []
    if names := names_of(paths):
        which = " or ".join(f"[{name}{end}" for name in names for end in ("-", "]"))
        runs.append(["tests/conformance/test_engines.py", "-k", which])
    if not runs:
        sys.stdout.write("Nothing that differs from main asks for a test.\n")
    return max([_pytest(run, arguments) for run in runs], default=0)


def _in_folder(folder: Path) -> list[Path]:
    """Return the test files of a folder, or of the nearest one above that has some."""
    found = sorted(path.relative_to(ROOT) for path in (ROOT / folder).glob("test_*.py"))
    return found or _in_folder(folder.parent)


def _pytest(run: list[str], arguments: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", *run, *arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _git(root: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

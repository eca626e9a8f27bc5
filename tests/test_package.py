"""The package as a whole: what it exports, ships and costs, and the shape of its source."""

import ast
import contextlib
import io
import re
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest

import schuss

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

# A block of code, and the beginning of what it prints, if a block of text follows.
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)

# What `import schuss` loads beyond torch; `schuss bench import` tells the time that it takes.
IMPORT = """
import sys
import torch

before = set(sys.modules)
import schuss

print(*sorted(set(sys.modules) - before))
"""


def run_python(*arguments: str | Path) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    # The signature of a command is its help, in annotations, and does nothing.
    is_command = "Annotated[" in ast.unparse(function.args)
    first = function.body[0] if is_command else function
    return (function.end_lineno or 0) - first.lineno + 1


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def timeless(printed: str) -> str:
    """Return a text without the times and speeds, which differ from machine to machine."""
    return re.sub(r"[\d.]+ (ms|GB/s)", r"\1", printed)


def test_all_holds_every_public_name_once() -> None:
    exported = {name: getattr(schuss, name) for name in schuss.__all__}
    defined = {
        name
        for name, value in vars(schuss).items()
        if not name.startswith(("_", "TYPE_CHECKING", "Any"))
        and not isinstance(value, types.ModuleType)
    }
    modules = {name for name, value in exported.items() if isinstance(value, types.ModuleType)}
    assert len(schuss.__all__) == len(exported)
    assert set(exported) == defined | modules | {"__version__"}


@pytest.mark.parametrize("name", sorted(set(schuss.__all__) - {"__version__"}))
def test_public_names_have_a_docstring_of_their_own(name: str) -> None:
    assert getattr(schuss, name).__doc__


def test_the_wheel_ships_the_types_the_license_and_the_version(tmp_path: Path) -> None:
    run_python("-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    info = f"schuss-{schuss.__version__}.dist-info"
    assert {"schuss/py.typed", f"{info}/licenses/LICENSE"} <= set(files)
    assert {file.split("/")[0] for file in files} == {"schuss", info}


def test_an_import_loads_our_own_modules_and_nothing_else() -> None:
    loaded = run_python("-c", IMPORT).split()
    packages = {module.partition(".")[0] for module in loaded} - sys.stdlib_module_names
    assert packages == {"schuss"}


def test_an_import_leaves_each_optimizer_and_what_compiles_until_they_are_asked_for() -> None:
    loaded = run_python("-c", IMPORT).split()
    late = ("schuss.cli", "schuss.engines.kernels", "schuss.optimizers.", "schuss.transforms.ema")
    assert [module for module in loaded if module.startswith(late)] == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_have_at_most_300_lines_and_functions_40(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    functions = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(node.name, length(node)) for node in functions if length(node) > 40] == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_python_blocks_and_tests_of_a_page_run_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in BLOCK.finditer(text):
        # Blank lines in front make a traceback point into the page.
        blanks = "\n" * text.count("\n", 0, block.start(1))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(blanks + block[1], str(page), "exec"), namespace)
        if block[2] is not None:
            assert timeless(printed.getvalue()).startswith(timeless(block[2]))
    for name, value in list(namespace.items()):
        if name.startswith("test_"):
            value()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "ARCHITECTURE.md"], ids=relative)
def test_links_of_a_page_lead_to_files_of_the_repository(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^()\s#:]+)(?:#[^()\s]*)?\)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_architecture_names_every_module_of_the_engines_and_of_storage() -> None:
    pages = [ROOT / "ARCHITECTURE.md", *(ROOT / "docs" / "architecture").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = set(re.findall(r"(\w+\.py)\b", text))
    rooms = [ROOT / "src" / "schuss" / room for room in ("engines", "storage")]
    modules = {path.name for room in rooms for path in room.rglob("[!_]*.py")}
    assert modules - named == set()
    assert named - {path.name for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]} == set()


def test_the_times_of_the_readme_are_those_of_the_benchmarks() -> None:
    readme, benchmarks = (ROOT / "README.md").read_text(), (ROOT / "docs/benchmarks.md").read_text()
    rows = re.findall(r"^\| (.+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", readme, re.MULTILINE)
    assert len(rows) == 3
    for model, *times in rows:
        table = benchmarks.split(f"\n### {model}\n")[1].split("\n### ")[0]
        for contender, milliseconds in zip(
            ("torch loop", "torch fused", "schuss fused"), times, strict=True
        ):
            assert f"| {contender} | {milliseconds} |" in table

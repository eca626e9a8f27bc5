"""The package as a whole: what it exports, ships, costs and promises of its own source."""

import ast
import inspect
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

import schuss

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# numba and labml are not the library's: what it costs must not depend on what else is installed.
EXTRAS = ["labml", "labml_nn", "matplotlib", "numba", "pooch", "rich", "sklearn", "typer"]

# Every fork imports schuss anew, but torch only once. The processor's time, not the clock's, and the
# median of several: whatever else runs on the machine is not counted.
IMPORT_PROBE = """
import os, statistics, sys, time
import torch

def cost():
    start = time.process_time()
    import schuss
    return time.process_time() - start

seconds = []
for _ in range(9):
    inlet, outlet = os.pipe()
    if os.fork() == 0:
        os.write(outlet, str(cost()).encode())
        os._exit(0)
    os.wait()
    seconds.append(float(os.read(inlet, 64)))
print(statistics.median(seconds))
"""


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_names_everything_public_once() -> None:
    defined = {
        name
        for name, value in vars(schuss).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    exported = [name for name in schuss.__all__ if name != "__version__"]
    modules = {name for name in exported if isinstance(getattr(schuss, name), types.ModuleType)}
    assert len(set(exported)) == len(exported)
    assert set(exported) == defined | modules


@pytest.mark.parametrize("name", sorted(set(schuss.__all__) - {"__version__"}))
def test_every_public_name_has_a_docstring_of_its_own(name: str) -> None:
    assert vars(getattr(schuss, name)).get("__doc__")


def test_every_public_class_documents_its_constructor_arguments() -> None:
    undocumented = []

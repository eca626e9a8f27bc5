"""The entry point, and what it says when the extras are not there."""

import subprocess
import sys

import pytest

from schuss.cli import EXTRAS


def run_without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Python takes a None for a module that cannot be found.
    program = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['schuss', *{arguments!r}]\n"
        "from schuss.cli import main; main()"
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["typer", "pooch"])
def test_a_missing_extra_is_told_in_one_line(package: str) -> None:
    done = run_without(package, "mnist")
    assert package in EXTRAS
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f'{package} is not installed; get it with: pip install "schuss[mnist]"\n'


def test_a_missing_module_of_our_own_is_a_bug_and_has_its_traceback() -> None:
    done = run_without("schuss.cli.app")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_listing_needs_neither_matplotlib_nor_scikit_learn() -> None:
    done = run_without("matplotlib", "list", "adamw")
    assert (done.returncode, done.stderr) == (0, "")
    assert "decoupled weight decay" in done.stdout

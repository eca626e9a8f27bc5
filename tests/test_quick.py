"""Which tests `make quick` runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.quick import OF_EVERY_KIND, ROOT, asked_by, changed, names_of

OPTIMIZER = Path("src/schuss/optimizers/lion.py")


def test_a_module_asks_for_its_examples_and_for_the_file_that_mirrors_it():
    assert asked_by(OPTIMIZER) == [OPTIMIZER, Path("tests/optimizers/test_lion.py")]


def test_a_module_with_many_tests_asks_for_the_folder_that_has_its_name():
    asked = asked_by(Path("src/schuss/checkpoint.py"))
    assert len(asked) > 2
    assert {path.parent for path in asked[1:]} == {Path("tests/checkpoint")}


def test_a_module_without_a_mirror_asks_for_the_folder():
    module = Path("src/schuss/engines/program/operations.py")
    asked = asked_by(module)
    assert asked[0] == module
    assert Path("tests/engines/program/test_axes.py") in asked
    assert all(path.parent == Path("tests/engines/program") for path in asked[1:])


def test_every_module_asks_for_a_test():
    for path in (ROOT / "src").rglob("*.py"):
        asked = asked_by(path.relative_to(ROOT))
        assert len(asked) > 1, path
        assert all((ROOT / each).exists() for each in asked)


def test_a_test_asks_for_itself_and_what_tests_share_for_its_folder():
    path = Path("tests/conformance/test_rules.py")
    assert asked_by(path) == [path]
    assert path in asked_by(Path("tests/conformance/strangers.py"))


def test_a_module_of_the_site_asks_for_the_tests_of_the_site():
    path = Path("docs/site/equations.py")
    assert path in asked_by(path)
    assert Path("tests/site/test_site.py") in asked_by(path)


def test_an_optimizer_goes_through_the_conformance_tests_alone_and_an_engine_with_some():
    assert names_of([OPTIMIZER, Path("README.md")]) == ["lion"]
    assert names_of([Path("src/schuss/stepping.py")]) == [*OF_EVERY_KIND]


def test_what_has_changed_is_what_differs_from_main_committed_or_not(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    git("init", "--initial-branch=main")
    for number, name in enumerate(["kept", "committed", "edited", "removed", "new"]):
        (tmp_path / name).write_text("")
        if name == "committed":
            git("add", "kept")
            git("commit", "--message", "kept")
            git("switch", "--create", "branch")
        if number < 4:
            git("add", name)
    git("commit", "--message", "on the branch")
    (tmp_path / "edited").write_text("again")
    (tmp_path / "removed").unlink()
    assert changed(tmp_path) == [Path("committed"), Path("edited"), Path("new")]

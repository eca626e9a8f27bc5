"""Checkpoints and manifests that somebody has changed: a message, and nothing written."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from schuss.cli.app import app
from schuss.cli.mnist import checkpoint
from schuss.cli.mnist.experiment import Plan, execute, open_directory, prepare
from schuss.cli.mnist.settings import Experiment
from tests.cli.mnist import idxfiles
from tests.cli.mnist.experiments import SETTINGS, Silent, small

SPEC = "sgd:lr=0.05,momentum=0.9"
NAMES = ["../sgd", "/tmp/sgd", "sgd/../../sgd", "C:\\sgd", "..", "", "sgd\0", "sgd-01", "SGD", 5]
DELETED = object()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> Path:
    """Return the directory of an experiment that was stopped after an epoch."""
    place = tmp_path_factory.mktemp("stopped")
    idxfiles.write(place / "data", files)
    data = small(place / "data")
    plan = Plan(Experiment({"sgd": SPEC}, SETTINGS))
    runs = prepare(plan, data)
    open_directory(plan, place / "out")
    with pytest.raises(KeyboardInterrupt):
        execute(runs, data, place / "out", Silent(stop=("sgd", 1)))
    return place / "out"


@pytest.fixture
def begun(stopped: Path, tmp_path: Path) -> Path:
    """Return a copy of it, with files where a name may lead to."""
    out = shutil.copytree(stopped, tmp_path / "in" / "out")
    for place in (out, out.parent, tmp_path):
        for name in ("victim", "sgd"):
            (place / f"{name}.json").write_text("{}")
    return out


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edited(content: Any, place: str, value: object) -> Any:
    """Change, in place, what a path of keys leads to."""
    *parents, last = place.split("/")
    target = content
    for key in parents:
        target = target[int(key) if isinstance(target, list) else key]
    if value is DELETED:
        del target[last]
    else:
        target[last] = value(target[last]) if callable(value) else value
    return content


def forge(path: Path, place: str, value: object) -> None:
    """Change a checkpoint, and its checksum with it."""
    begin = len(checkpoint._FORMAT) + len(checkpoint._checksum(b""))
    path.with_suffix(".part").write_bytes(path.read_bytes()[begin:])
    content = torch.load(path.with_suffix(".part"), weights_only=True)
    torch.save(edited(content, place, value), path.with_suffix(".part"))
    payload = path.with_suffix(".part").read_bytes()
    path.with_suffix(".part").unlink()
    path.write_bytes(checkpoint._FORMAT + checkpoint._checksum(payload) + payload)


def refused(resumed: Path, named: Path, data_dir: Path, within: Path, *more: str) -> str:
    """Resume something, and return the one line that names the file, and says why not."""
    before = contents(within)
    command = ["mnist", "--resume", str(resumed), "--data-dir", str(data_dir), *more]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"schuss: {named} ")
    assert done.stderr.count("\n") == 1
    assert contents(within) == before
    return done.stderr


def doubled(weight: torch.Tensor) -> torch.Tensor:
    return weight.double()


def backwards(steps: list[int]) -> list[int]:
    return steps[::-1]


def too_far(steps: list[int]) -> list[int]:
    return [*steps[:-1], 10**6]


FORGED: list[tuple[str, object]] = [
    *(("name", name) for name in NAMES),
    *((key, DELETED) for key in ("name", "optimizer", "settings", "data", "state")),
    *((key, None) for key in ("name", "optimizer", "settings", "data", "state")),
    *((f"settings/{key}", DELETED) for key in ("schedule", "data", "epochs", "seed", "device")),
    *(("settings/epochs", value) for value in ("3", 0, True, 2.5, 1 << 70)),
    ("settings/batch_size", 0),
    ("settings/batch_size", []),
    *(("settings/seed", value) for value in (-1, "x")),
    *(("settings/data", value) for value in ("cifar", "../data", 0)),
    *(("settings/schedule", value) for value in ("sine", "cosine:warmup=x", "cosine:(" * 999)),
    *(("optimizer", value) for value in ("sgd:lr=", "sgd:lr=-1", "sgd:" + "-" * 100_000)),
    *((f"state/{key}", DELETED) for key in ("model", "optimizer", "schedule", "order", "curve")),
    *((f"state/{key}", []) for key in ("model", "optimizer", "schedule", "order", "labels")),
    ("optimizer", "sgd:lr=0.1,\nmomentum=0.9"),
    ("settings/device", "\x1b[2Jcpu"),
    ("state/model/conv1.weight", DELETED),
    ("state/model/conv1.weight", torch.zeros(3)),
    ("state/model/conv1.weight", doubled),
    ("state/model/conv1.weight", "weight"),
    ("state/optimizer/state", DELETED),
    ("state/optimizer/state", {0: 5}),
    ("state/optimizer/param_groups", []),
    ("state/optimizer/param_groups", {}),
    ("state/optimizer/param_groups/0/lr", "fast"),
    ("state/optimizer/param_groups/0/params", [0]),
    ("state/schedule/last_epoch", DELETED),
    ("state/schedule/last_epoch", "x"),
    ("state/schedule/_last_lr", []),
    ("state/order", torch.zeros(5, dtype=torch.uint8)),
    ("state/curve/step", DELETED),
    ("state/curve/step", backwards),
    ("state/curve/step", too_far),
    ("state/curve/test_loss", []),
    ("state/curve/test_loss", ["x"]),
    ("state/curve/seconds", [0.0]),
    ("state/curve/diverged_at", "x"),
]


@pytest.mark.parametrize(("place", "value"), FORGED)
def test_a_forged_checkpoint_is_told(
    place: str, value: object, begun: Path, data_dir: Path, tmp_path: Path
) -> None:
    forge(begun / "sgd.pt", place, value)
    refused(begun / "sgd.pt", begun / "sgd.pt", data_dir, tmp_path)


def test_a_checkpoint_is_of_the_run_that_the_manifest_names(
    begun: Path, data_dir: Path, tmp_path: Path
) -> None:
    forge(begun / "sgd.pt", "settings/seed", 8)
    error = refused(begun, begun / "sgd.pt", data_dir, tmp_path)
    assert "its seed is 8, not 7; remove it, and this run begins anew" in error
    (begun / "sgd.pt").unlink()
    command = ["mnist", "--resume", str(begun), "--data-dir", str(data_dir)]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0


MANIFESTS: list[tuple[str, object]] = [
    *(("optimizers", {name: SPEC}) for name in NAMES if isinstance(name, str)),
    *(("optimizers", value) for value in (DELETED, {}, [], ["sgd"], {"sgd": 5}, {"sgd": "adma"})),
    *(("settings", value) for value in (DELETED, [], "x")),
    ("settings/epochs", "3"),
    ("settings/batch_size", DELETED),
]


@pytest.mark.parametrize(("place", "value"), MANIFESTS)
def test_a_forged_manifest_is_told(
    place: str, value: object, begun: Path, data_dir: Path, tmp_path: Path
) -> None:
    manifest = begun / "experiment.json"
    manifest.write_text(json.dumps(edited(json.loads(manifest.read_text()), place, value)))
    refused(begun, manifest, data_dir, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\udcff", "[" * 100_000, "1" * 5000])
def test_a_manifest_that_is_none_is_told(
    text: str, begun: Path, data_dir: Path, tmp_path: Path
) -> None:
    (begun / "experiment.json").write_text(text, errors="surrogateescape")
    refused(begun, begun / "experiment.json", data_dir, tmp_path)


@pytest.mark.parametrize("name", ["../victim", "../../victim"])
def test_a_new_experiment_removes_nothing_outside_its_directory(
    name: str, begun: Path, data_dir: Path, tmp_path: Path
) -> None:
    manifest = begun / "experiment.json"
    manifest.write_text(
        json.dumps(edited(json.loads(manifest.read_text()), "optimizers", {name: SPEC}))
    )
    before = contents(tmp_path)
    options = ["--data", "mnist", "--data-dir", str(data_dir), "--epochs", "1"]
    command = ["mnist", "--optimizer", SPEC, *options, "--out", str(begun)]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    after = contents(tmp_path)
    outside = {path for path in before if path.parent != begun}
    assert {path: after.get(path) for path in outside} == {path: before[path] for path in outside}

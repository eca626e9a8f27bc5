"""`schuss mnist`, from the command line to the files that it leaves."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from schuss.cli.app import app
from schuss.cli.mnist import checkpoint
from schuss.cli.mnist.experiment import Plan, execute, open_directory, prepare
from schuss.cli.mnist.settings import Experiment, Settings, named_runs
from schuss.cli.mnist.sources import FILES
from tests.cli.mnist.experiments import Silent, assert_same_end, small

ADAM, SGD = "adam:lr=2e-3", "sgd:lr=0.05,momentum=0.9"


class Done(NamedTuple):
    status: int
    output: str
    error: str


def mnist(*arguments: object) -> Done:
    texts = ["mnist", *map(str, arguments)]
    result = CliRunner().invoke(app, texts, catch_exceptions=False)
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def begin(data_dir: Path) -> list[object]:
    """Return the arguments of a small experiment."""
    common = ["--data", "mnist", "--data-dir", data_dir, "--epochs", 3, "--seed", 5]
    return ["--optimizer", ADAM, "--optimizer", SGD, *common]


def stopped(out: Path, data_dir: Path, at: tuple[str, int]) -> None:
    """Leave in `out` what is there when the experiment of `begin` is stopped."""
    settings = Settings("cosine", "mnist", epochs=3, batch_size=32, seed=5, device="cpu")
    plan = Plan(Experiment(named_runs([ADAM, SGD]), settings))
    data = small(data_dir)
    runs = prepare(plan, data)
    open_directory(plan, out)
    with pytest.raises(KeyboardInterrupt):
        execute(runs, data, out, Silent(stop=at))


def test_an_experiment_leaves_a_figure_and_a_record_and_a_checkpoint_of_each_run(
    begin: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "runs" / "first"
    done = mnist(*begin, "--out", out)
    assert (done.status, done.error) == (0, "")
    names = {"adam.json", "adam.pt", "sgd.json", "sgd.pt", "curves.png", "experiment.json"}
    assert {path.name for path in out.iterdir()} == names
    record = json.loads((out / "sgd.json").read_text())
    assert record["config"]["optimizer"] == SGD
    assert record["config"]["seed"] == 5
    assert record["final"]["epochs"] == 3
    assert "sgd: epoch 3/3, train loss" in done.output
    assert "adam lr=2e-3" in done.output
    assert done.output.rstrip().endswith(str(out))


def test_digits_are_the_default_and_every_default_optimizer_runs(tmp_path: Path) -> None:
    done = mnist("--epochs", 1, "--batch-size", 512, "--out", tmp_path)
    assert done.status == 0
    assert "scikit-learn's handwritten digits: 360 images to test on" in done.output
    records = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    runs = [record for record in records if "final" in record]
    assert len(runs) >= 4
    assert {record["data"]["train_images"] for record in runs} == {1437}


def test_the_network_learns_the_digits(tmp_path: Path) -> None:
    done = mnist("--optimizer", "sgd:lr=0.05,momentum=0.9", "--epochs", 5, "--out", tmp_path)
    assert done.status == 0
    final = json.loads((tmp_path / "sgd.json").read_text())["final"]
    assert final["test_accuracy"] > 0.95


def test_a_new_experiment_takes_the_place_of_the_one_before(
    begin: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    mnist(*begin, "--out", out)
    (out / "notes.txt").write_text("not ours")
    assert mnist(*begin[2:], "--out", out).status == 0
    names = {"sgd.json", "sgd.pt", "curves.png", "experiment.json", "notes.txt"}
    assert {path.name for path in out.iterdir()} == names


@pytest.mark.parametrize("at", [("adam", 2), ("adam", 3), ("sgd", 1)])
def test_a_stopped_experiment_goes_on_bit_equal_to_one_that_never_stopped(
    at: tuple[str, int], begin: list[object], data_dir: Path, tmp_path: Path
) -> None:
    mnist(*begin, "--out", tmp_path / "whole")
    stopped(tmp_path / "stopped", data_dir, at)
    done = mnist("--resume", tmp_path / "stopped", "--data-dir", data_dir)
    assert (done.status, done.error) == (0, "")
    for name in ("adam", "sgd"):
        assert_same_end(
            checkpoint.read(tmp_path / "whole" / f"{name}.pt"),
            checkpoint.read(tmp_path / "stopped" / f"{name}.pt"),
        )
        assert (tmp_path / "stopped" / f"{name}.json").exists()
    assert (tmp_path / "stopped" / "curves.png").exists()


def test_one_run_is_resumed_from_its_checkpoint_elsewhere(
    begin: list[object], data_dir: Path, tmp_path: Path
) -> None:
    mnist(*begin, "--out", tmp_path / "whole")
    stopped(tmp_path / "stopped", data_dir, ("sgd", 2))
    file, out = tmp_path / "stopped" / "sgd.pt", tmp_path / "elsewhere"
    before = file.read_bytes()
    done = mnist("--resume", file, "--data-dir", data_dir, "--out", out)
    assert done.status == 0
    assert "sgd: resumed after epoch 2/3" in done.output
    assert file.read_bytes() == before
    assert {path.name for path in out.iterdir()} == {"sgd.pt", "sgd.json", "sgd.png"}
    assert_same_end(checkpoint.read(tmp_path / "whole" / "sgd.pt"), checkpoint.read(out / "sgd.pt"))


def test_one_run_is_resumed_beside_the_others(
    begin: list[object], data_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    mnist(*begin, "--out", out)
    before = (out / "adam.pt").read_bytes(), (out / "experiment.json").read_bytes()
    done = mnist("--resume", out / "sgd.pt", "--data-dir", data_dir, "--epochs", 4)
    assert done.status == 0
    assert json.loads((out / "sgd.json").read_text())["final"]["epochs"] == 4
    assert ((out / "adam.pt").read_bytes(), (out / "experiment.json").read_bytes()) == before


def test_a_finished_experiment_gets_more_epochs(
    begin: list[object], data_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    mnist(*begin, "--out", out)
    done = mnist("--resume", out, "--data-dir", data_dir, "--epochs", 4, "--optimizer", SGD)
    assert done.status == 2  # adam is missing
    done = mnist("--resume", out, "--data-dir", data_dir, "--epochs", 4)
    assert done.status == 0
    assert "adam: epoch 4/4" in done.output
    assert "adam: epoch 3/4" not in done.output
    assert json.loads((out / "experiment.json").read_text())["settings"]["epochs"] == 4


def test_what_agrees_with_the_checkpoint_may_be_said_again(
    begin: list[object], data_dir: Path, tmp_path: Path
) -> None:
    stopped(tmp_path / "out", data_dir, ("adam", 1))
    done = mnist("--resume", tmp_path / "out", *begin, "--batch-size", 32, "--schedule", "cosine")
    assert (done.status, done.error) == (0, "")


@pytest.mark.parametrize(
    ("option", "value", "stored"),
    [
        ("--optimizer", "adam:lr=1e-3", "adam:lr=2e-3 and sgd:lr=0.05,momentum=0.9"),
        ("--batch-size", "64", "32"),
        ("--seed", "6", "5"),
        ("--data", "kmnist", "mnist"),
        ("--schedule", "constant", "cosine"),
    ],
)
def test_what_contradicts_the_checkpoint_is_refused(
    option: str, value: str, stored: str, data_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    stopped(out, data_dir, ("adam", 1))
    before = {path: path.read_bytes() for path in out.iterdir()}
    done = mnist("--resume", out, option, value)
    assert (done.status, done.output) == (2, "")
    assert done.error == (
        f"schuss: {option} {value} contradicts {out}, which was begun with {stored}; leave the "
        "option out to go on with that, or leave out --resume to begin anew\n"
    )
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_what_cannot_be_resumed_is_told(tmp_path: Path) -> None:
    done = mnist("--resume", tmp_path)
    assert done.status == 1
    assert done.error == (
        f"schuss: {tmp_path} holds no experiment.json: --resume takes the --out directory of an "
        "earlier `schuss mnist`, or one of its .pt files\n"
    )
    done = mnist("--resume", tmp_path / "nothing.pt")
    assert done.status == 1
    assert done.error == f"schuss: cannot read {tmp_path}/nothing.pt: No such file or directory\n"
    (tmp_path / "experiment.json").write_text("{}")
    assert "experiment.json is damaged" in mnist("--resume", tmp_path).error


def test_a_run_that_diverges_is_reported_and_the_others_go_on(
    data_dir: Path, tmp_path: Path
) -> None:
    common = ["--data", "mnist", "--data-dir", data_dir, "--epochs", 2, "--out", tmp_path / "out"]
    done = mnist("--optimizer", "sgd:lr=1e18", "--optimizer", ADAM, *common)
    assert (done.status, done.error) == (0, "")
    assert "sgd: the loss is not finite at step" in done.output
    assert "adam: epoch 2/2" in done.output
    assert json.loads((tmp_path / "out" / "sgd.json").read_text())["final"]["train_loss"] is None


def test_without_a_network_the_files_and_their_place_are_named(tmp_path: Path, cache: Path) -> None:
    done = mnist("--data", "fashion-mnist", "--out", tmp_path / "out")
    assert done.status == 1
    assert "Traceback" not in done.error
    assert "schuss: cannot download train-images-idx3-ubyte.gz of Fashion-MNIST: " in done.error
    for name in FILES:
        assert f"    {name}.gz\n" in done.error
    assert str(cache / "fashion-mnist") in done.error
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_is_told(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / FILES[2]
    path.write_bytes(path.read_bytes()[:1000])
    done = mnist("--data", "mnist", "--data-dir", data_dir, "--out", tmp_path / "out")
    assert (done.status, done.output) == (1, "")
    assert done.error.startswith(f"schuss: {path} holds 984 bytes of values, but its header ")
    assert done.error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optimizer", "adma"], "schuss: --optimizer adma: no optimizer 'adma'; did you mean"),
        (["--optimizer", "adam:lr=-1"], "schuss: --optimizer adam:lr=-1: Invalid learning rate"),
        (["--schedule", "sine"], "schuss: --schedule sine: no schedule 'sine'; there are"),
        (["--schedule", "wsd:warmup=10000"], "schuss: --schedule wsd:warmup=10000: warmup = 10000"),
        (["--data", "cifar"], "schuss: --data cifar is none of digits, mnist, fashion-mnist"),
        (["--device", "gpu"], "schuss: --device gpu cannot be used: "),
        (["--epochs", "0"], "Usage: "),
    ],
)
def test_an_option_that_cannot_be_is_told(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = mnist(*arguments, "--out", tmp_path / "out")
    assert (done.status, done.output) == (2, "")
    assert done.error.startswith(message)
    assert "Traceback" not in done.error
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = mnist("--optimizer", ADAM, "--out", tmp_path / "file" / "out")
    assert done.status == 1
    assert done.error == f"schuss: cannot write to --out {tmp_path}/file/out: Not a directory\n"


def test_files_in_the_way_are_told(begin: list[object], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "adam.pt" / "inside").mkdir(parents=True)
    done = mnist(*begin, "--out", out)
    assert done[::2] == (1, f"schuss: cannot write to --out {out}: Is a directory\n")
    assert {path.name for path in out.iterdir()} == {"adam.pt", "experiment.json"}


def test_an_interrupt_ends_with_how_to_go_on(
    begin: list[object], data_dir: Path, tmp_path: Path
) -> None:
    begin = [*begin, "--epochs", 8]
    # A shell has what it runs in the background ignore interrupts, and children inherit that.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heed}; from schuss.cli import main; main()"
    command = [sys.executable, "-c", program, "mnist", *map(str, begin)]
    out = tmp_path / "out"
    with subprocess.Popen(
        [*command, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while "adam: epoch 2/8" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    assert process.returncode == 130, error
    assert error == f"\nschuss: stopped; go on with: schuss mnist --resume {out}\n"
    assert not list(out.glob(".*"))
    done = mnist("--resume", out, "--data-dir", data_dir)
    assert done.status == 0
    mnist(*begin, "--out", tmp_path / "whole")
    for name in ("adam", "sgd"):
        whole, rest = (checkpoint.read(path / f"{name}.pt") for path in (tmp_path / "whole", out))
        assert_same_end(whole, rest)

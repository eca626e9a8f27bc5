"""Small experiments for tests, by way of the real steps of `schuss mnist`."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from schuss.cli.mnist.checkpoint import Checkpoint
from schuss.cli.mnist.datasets import Dataset, load
from schuss.cli.mnist.settings import Settings
from schuss.cli.mnist.training import Run, build_run
from tests.cli.mnist.idxfiles import no_download

SETTINGS = Settings(
    schedule="cosine:warmup=3", data="mnist", epochs=3, batch_size=32, seed=7, device="cpu"
)


class Silent:
    """Watches without a word, and stops a run in the middle if it is told to."""

    def __init__(self, stop: tuple[str, int] | None = None) -> None:
        self.stop = stop

    def run_begins(self, run: Run, images: int) -> None:
        pass

    def batches_done(self, run: Run, images: int) -> None:
        pass

    def epoch_done(self, run: Run) -> None:
        if (run.name, run.epochs) == self.stop:
            raise KeyboardInterrupt

    def run_ends(self, run: Run) -> None:
        pass


def small(data_dir: Path) -> Dataset:
    """Return the small data set in `data_dir`."""
    return load("mnist", data_dir, no_download)


def new_run(spec: str, data: Dataset, settings: Settings = SETTINGS) -> Run:
    """Return a run that has not begun, by the name of its optimizer."""
    return build_run(spec.partition(":")[0], spec, settings, data)


def assert_same_end(checkpoint: Checkpoint, other: Checkpoint) -> None:
    """Check that two runs ended in the same bits, whatever time they took."""
    leaves, others = (dict(_leaves("", saved.state)) for saved in (checkpoint, other))
    assert leaves.keys() == others.keys()
    differing = [key for key, leaf in leaves.items() if not _same(leaf, others[key])]
    assert differing == []


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if key != "seconds":
                yield from _leaves(f"{path}/{key}", item)
    else:
        yield path, value


def _same(value: object, other: object) -> bool:
    if isinstance(value, Tensor) and isinstance(other, Tensor):
        return value.dtype is other.dtype and torch.equal(value, other)
    return type(value) is type(other) and value == other


def weights(run: Run) -> list[Tensor]:
    """Return copies of the parameters of a run."""
    return [param.detach().clone() for param in run.model.parameters()]

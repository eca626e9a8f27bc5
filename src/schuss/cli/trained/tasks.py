"""The tasks by name: what can be trained, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schuss.cli.trained import characters, images
from schuss.cli.trained.contenders import Contender
from schuss.cli.trained.outcome import Outcome, Trial
from schuss.cli.trained.recipes import COSINE
from schuss.cli.trained.text import held_out
from schuss.cli.trained.variants import ALONE, Variant


@dataclass(frozen=True)
class Task:
    """A network, data to train it on, and how long.

    Attributes:
        name: Its name on the command line.
        title: The network and the data, in prose.
        epoch: The length of an epoch, in prose.
        epochs: How many there are if none are asked for.
        cosine: The schedule of those that have a cosine.
        is_survey: Whether the figure is a row for each of many optimizers, as against a curve for
            each of a few.
        load: Returns the data; a directory may have its files.
        held_out: Returns what a sweep may see of the data.
        batches: Returns how many batches of the data are an epoch.
        check: Checks that an optimizer can be trained with, given with its options as a text.
        train: Trains.
    """

    name: str
    title: str
    epoch: str
    epochs: int
    cosine: str
    is_survey: bool
    load: Callable[[Path | None], Any]
    held_out: Callable[[Any], Any]
    batches: Callable[[Any], int]
    check: Callable[[str, Any], None]
    train: Callable[[Trial, Any], Outcome]

    def data(self, data_dir: Path | None, *, validation: bool) -> Any:
        """Return the data: all of it, or what a sweep may see.

        Raises:
            DataFileError: There are files of it, and one is missing or damaged.
        """
        data = self.load(data_dir)
        return self.held_out(data) if validation else data

    def trial(
        self,
        contender: Contender,
        data: Any,
        epochs: int,
        seed: int,
        power: int,
        *,
        sweep: bool,
        variant: Variant = ALONE,
    ) -> Trial:
        """Return a trial of a contender.

        Args:
            contender: The contender.
            data: The data that it sees.
            epochs: Length of the training.
            seed: The seed.
            power: Which learning rate it has, see `Contender.spec`.
            sweep: Whether a part of the data to learn from is held out.
            variant: The variant of the contender.
        """
        steps = epochs * self.batches(data)
        schedule = contender.recipe.schedule
        if schedule == COSINE:
            schedule = self.cosine.format(warmup=steps // 10)
        spec = contender.spec(steps, power, variant)
        of_variant = variant.text, variant.dtype
        return Trial(self.name, contender.text, spec, schedule, epochs, seed, sweep, *of_variant)


TASKS: Final[Mapping[str, Task]] = {
    task.name: task
    for task in (
        Task(
            "digits",
            "the network of `schuss mnist` on scikit-learn's digits",
            "all images in batches of 32",
            epochs=5,
            cosine=COSINE,
            is_survey=True,
            load=images.digits,
            held_out=images.held_out,
            batches=images.batches,
            check=images.check,
            train=images.train_on_images,
        ),
        Task(
            "images",
            f"the network of `schuss mnist` on {images.LEARNED:,} images of Fashion-MNIST",
            "all images in batches of 32",
            epochs=2,
            cosine=COSINE,
            is_survey=False,
            load=images.clothes,
            held_out=images.held_out,
            batches=images.batches,
            check=images.check,
            train=images.train_on_images,
        ),
        Task(
            "characters",
            "a transformer of a million parameters on the characters of Python's help",
            f"{characters.BATCHES} batches of {characters.SEQUENCES} pieces of the text",
            epochs=5,
            cosine=COSINE + ":warmup={warmup}",
            is_survey=False,
            load=characters.load,
            held_out=held_out,
            batches=characters.batches,
            check=characters.check,
            train=characters.train_on_text,
        ),
    )
}
"""The values of `--task`."""

"""`schuss mnist`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from schuss.cli.errors import shown_as_message
from schuss.cli.mnist.settings import DEFAULT_BATCH_SIZE, DEFAULT_OPTIMIZERS, DEFAULT_SCHEDULE
from schuss.cli.mnist.sources import NAMES
from schuss.schedules import list_schedules

DEFAULT_OUT: Final = Path("runs/mnist")

# An option that is not given is None, because --resume has to tell it from one that says the
# same as the default.
Optimizers: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--optimizer",
        metavar="SPEC",
        help="An optimizer and its hyper-parameters, as NAME or NAME:OPTION=VALUE,OPTION=VALUE; "
        f"give it again for each to compare. Without it: {' '.join(DEFAULT_OPTIMIZERS)}",
    ),
]
Data: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"The images: {', '.join(NAMES)}. The digits come with scikit-learn, the others are "
        "downloaded if need be.",
        show_default=NAMES[0],
    ),
]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Directory with IDX files of your own, gzipped or not, or with a subdirectory for "
        "each data set. Then comes the cache, which is $SCHUSS_DATA_DIR if that is set.",
    ),
]
Schedule: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help=f"Schedule of the learning rate, by step: {', '.join(list_schedules())}; for example "
        "cosine:warmup=50",
        show_default=DEFAULT_SCHEDULE,
    ),
]
Epochs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Times to go through the images.",
        show_default="10 for digits, else 3",
    ),
]
BatchSize: TypeAlias = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Images per step.", show_default=str(DEFAULT_BATCH_SIZE)),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2**63 - 1,
        metavar="N",
        help="Determines the first weights and the order of the images, the same for all.",
        show_default="0",
    ),
]
Device: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where to train, as torch names it.",
        show_default="cuda if there is, else cpu",
    ),
]
Resume: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Go on with what was stopped: the --out directory of an earlier call, or one of its "
        ".pt files for that run alone. The other options are as they were; --epochs may be "
        "another number, for which the schedule is stretched.",
    ),
]
Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Directory for the figure, and a record (JSON) and a checkpoint (.pt) of each run. "
        "Those of an earlier call are replaced.",
        show_default=f"{DEFAULT_OUT}, or where --resume points",
    ),
]


def mnist_command(
    optimizer: Optimizers = None,
    data: Data = None,
    data_dir: DataDir = None,
    schedule: Schedule = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    device: Device = None,
    resume: Resume = None,
    out: Out = None,
) -> None:
    """Train a small convolutional network on small images, once for each optimizer.

    All see the same images in the same order, from the same weights. A table and a figure follow.
    """
    # Not at the top: it brings scikit-learn and matplotlib, which take a second to load.
    from schuss.cli.mnist.launch import launch

    options = {
        "data": data,
        "schedule": schedule,
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "device": device,
    }
    given = {name: value for name, value in options.items() if value is not None}
    with shown_as_message():
        launch(optimizer, given, resume=resume, data_dir=data_dir, out=out or resume or DEFAULT_OUT)

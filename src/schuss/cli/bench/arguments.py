"""The options that commands of `schuss bench` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from schuss.cli.bench.contenders import CONTENDERS
from schuss.cli.bench.training import TRAINERS, TRAININGS
from schuss.cli.bench.workloads import WORKLOADS

DEFAULT_OUTPUT: Final = Path("runs/bench")
DEFAULT_OPTIMIZER: Final = "adamw"
DEFAULT_WORKLOAD: Final = "resnet50"

_SPEC: Final = (
    "An optimizer and its hyper-parameters, as NAME or NAME:OPTION=VALUE,OPTION=VALUE; give it "
    "again for each."
)
_TURNS: Final = "How often every contender has its turn."

Workloads: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--workload",
        metavar="NAME",
        help=f"Whose parameters: {', '.join(WORKLOADS)}; give it again for each.",
        show_default="all",
    ),
]
Trainings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--workload",
        metavar="NAME",
        help=f"What is trained: {', '.join(TRAININGS)}; give it again for each.",
        show_default="both",
    ),
]
Contenders: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--contender",
        metavar="NAME",
        help=f"An implementation: {', '.join(CONTENDERS)}; give it again for each. Those that the "
        "others are compared with always take part.",
        show_default="all but torch-compile, which needs minutes, and the chains",
    ),
]
Trainers: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--contender",
        metavar="NAME",
        help=f"An implementation: {', '.join(TRAINERS)}; give it again for each. torch-fused "
        "always takes part.",
        show_default="torch-fused and schuss-fused",
    ),
]
Optimizers: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--optimizer",
        metavar="SPEC",
        help=_SPEC,
        show_default=DEFAULT_OPTIMIZER,
    ),
]
Every: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--optimizer",
        metavar="SPEC",
        help=_SPEC,
        show_default="all that there are",
    ),
]
Rounds: TypeAlias = Annotated[int, typer.Option(min=1, metavar="N", help=_TURNS)]
Compared: TypeAlias = Annotated[int, typer.Option(min=2, metavar="N", help=_TURNS)]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Threads for every contender.",
        show_default="as many as torch takes",
    ),
]
Memory: TypeAlias = Annotated[
    float,
    typer.Option(
        min=0.1,
        metavar="GIB",
        help="What contenders may fill at a time; of large models, fewer take turns then.",
    ),
]
Cold: TypeAlias = Annotated[
    bool,
    typer.Option(
        help="Also time the first step in new processes, with an empty and with a filled cache of "
        "kernels.",
    ),
]
Output: TypeAlias = Annotated[
    Path,
    typer.Option(metavar="PATH", help="Directory for the record (JSON) and the figure."),
]
Markdown: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="A document, between two markers of which the tables go."),
]
Section: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The name that the markers have.",
        show_default="that of the command",
    ),
]
Device: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Where contenders run: cpu, cuda or cuda:1, say.")
]
Record: TypeAlias = Annotated[
    Path, typer.Argument(metavar="RECORD", help="A record (JSON) of an earlier call.")
]
Storages: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--state-storage",
        metavar="PRESET",
        help="Keep state so, AdamW's too, and leave out who has none that this changes; give it "
        "again for each.",
        show_default="as the parameters are",
    ),
]

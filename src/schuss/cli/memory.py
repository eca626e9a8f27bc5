"""`schuss memory`: the memory that optimizers take, before a model is made."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from torch import nn

from schuss.cli.bench.markdown import write_section
from schuss.cli.errors import OptionError, shown_as_message
from schuss.cli.skeletons import MODELS, named, of_size
from schuss.engines import Memory
from schuss.engines.footprint import shown
from schuss.registry import create_optimizer, list_optimizers, parse_spec

DTYPES: Final = {
    **dict.fromkeys(("float32", "fp32"), torch.float32),
    **dict.fromkeys(("bfloat16", "bf16"), torch.bfloat16),
    **dict.fromkeys(("float16", "fp16"), torch.float16),
    **dict.fromkeys(("float64", "fp64"), torch.float64),
}
"""The values of `--dtype`."""


@dataclass(frozen=True)
class Preset:
    """A way to keep parameters and state: a column of the table of all optimizers.

    Attributes:
        title: Its name in the table.
        dtype: The precision of the parameters.
        options: Options of the optimizer.
    """

    title: str
    dtype: torch.dtype
    options: Mapping[str, Any] = field(default_factory=dict)


PRESETS: Final = (
    Preset("float32", torch.float32),
    Preset("float32, bf16 state", torch.float32, {"state_storage": "bf16"}),
    Preset("float32, 8-bit state", torch.float32, {"state_storage": "8bit"}),
    Preset("float32, 4-bit state", torch.float32, {"state_storage": "4bit"}),
    Preset("bfloat16", torch.bfloat16),
    Preset("bfloat16, master weights", torch.bfloat16, {"master_weights": True}),
)
"""The columns of the table of all optimizers."""


def memory_command(
    optimizer: Annotated[
        str | None,
        typer.Argument(
            help="An optimizer, as `adamw` or `adamw:amsgrad=True`; else a table of all."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help=f"Whose parameters: {', '.join(MODELS)}, or a type of transformers.")
    ] = "gpt2",
    parameters: Annotated[
        str | None,
        typer.Option(help="How many numbers there are, such as 350M, in place of a model."),
    ] = None,
    dtype: Annotated[
        str, typer.Option(help=f"The precision of the parameters: {', '.join(DTYPES)}.")
    ] = "float32",
    master_weights: Annotated[
        bool, typer.Option("--master-weights", help="Keep weights of half precision in full.")
    ] = False,
    state_storage: Annotated[
        str | None, typer.Option(help="A preset for the state, such as 8bit.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the table of all into this document.")
    ] = None,
) -> None:
    """Tell the bytes of parameters, gradients, state and a step, without allocating them."""
    with shown_as_message():
        if dtype not in DTYPES:
            raise OptionError(f"there is no dtype {dtype!r}; there are {', '.join(DTYPES)}")
        about = Model(model, parameters)
        if optimizer is not None and markdown is None:
            options = {"master_weights": master_weights, "state_storage": state_storage}
            memory = about.memory(optimizer, Preset("", DTYPES[dtype], options))
            typer.echo(memory)
            return
        rows = all_rows(about)
        if markdown is None:
            typer.echo(as_text(rows))
        else:
            write_section(markdown, "all", f"{about.command}\n\n{as_markdown(rows)}", "memory")


@dataclass(frozen=True)
class Model:
    """A model of which only the parameters are of interest.

    Attributes:
        name: Its name.
        size: How many numbers it has, in place of a name.
    """

    name: str
    size: str | None = None

    @property
    def command(self) -> str:
        """The command that makes the table for it, as a block of Markdown."""
        which = f"--parameters {self.size}" if self.size else f"--model {self.name}"
        return f"    schuss memory {which} --markdown PATH"

    def made(self, dtype: torch.dtype) -> nn.Module:
        """Return it without memory."""
        return named(self.name, dtype) if self.size is None else of_size(self.size, dtype)

    def memory(self, spec: str, preset: Preset) -> Memory:
        """Return what an optimizer takes to train it; one for matrices leaves the rest to AdamW.

        Raises:
            OptionError: There is no such optimizer or model, or it does not go with an option.
        """
        model = self.made(preset.dtype)
        try:
            name, options = parse_spec(spec)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # which tell of the time of a step
                made = create_optimizer(name, model, **{**preset.options, **options})
                return made.memory()
        except (ValueError, TypeError) as error:
            raise OptionError(str(error)) from None


Row = tuple[str, ...]


def all_rows(model: Model) -> list[Row]:
    """Return the table of all optimizers, its head first: bytes for each number of the model."""
    head = ["optimizer"]
    for preset in PRESETS:
        head += [f"{preset.title}: state", "step"]
    rows = [(*head, f"step in {PRESETS[0].title}, in all")]
    for info in list_optimizers():
        found = [model.memory(info.name, preset) for preset in PRESETS]
        cells: list[str] = []
        for memory in found:
            cells += [_each(memory.all_state.predicted, memory), _each(memory.peak, memory)]
        rows.append((info.name, *cells, shown(found[0].peak)))
    return rows


def as_text(rows: list[Row]) -> str:
    """Return a table with its columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(lines)


def as_markdown(rows: list[Row]) -> str:
    """Return a table in Markdown, with a link from each name to the page of the optimizer."""
    head, *others = rows
    lines = [head, ("---", *("--:" for _ in head[1:]))]
    lines += [(f"[{name}](../src/schuss/optimizers/{name}.py)", *rest) for name, *rest in others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _each(size: int, memory: Memory) -> str:
    return f"{size / memory.numbers:.2f}"

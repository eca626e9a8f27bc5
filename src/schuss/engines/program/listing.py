"""The stages of a rule as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from schuss.engines.program import names
from schuss.engines.program.stages import Argument, Cut, Fed, Kept, Ref, Returned, Stage
from schuss.storage.precision import HALF


def listing(cut: Cut) -> str:
    """List the stages: the program of each, and the functions that are called after it."""
    stages = [
        "\n".join([f"stage {number}", *(f"  {line}" for line in _lines(cut, stage))])
        for number, stage in enumerate(cut.stages, start=1)
    ]
    kept = [f"state.{key} <- b{block}" for key, block in cut.kept.items()]
    return "\n".join([*stages, *kept])


def _lines(cut: Cut, stage: Stage) -> list[str]:
    """Return the lines of a stage, in which blocks are named by their numbers."""
    lines = [] if stage.program is None else str(stage.program).splitlines()
    for name, block in sorted({**stage.taken, **stage.fed}.items(), reverse=True):
        dtype = cut.tangle.dtypes[block]
        kept = f" in {str(dtype).removeprefix('torch.')}" if dtype in HALF else ""
        ends = {name: f"b{block}", f"{name} <- ": f"b{block}{kept} <- "}
        for old in sorted(ends, reverse=True):
            lines = [line.replace(old, ends[old]) for line in lines]
    for run in stage.runs:
        for call in run.calls:
            lines.append(_call(cut, call))
    return lines


def _call(cut: Cut, number: int) -> str:
    call = cut.tangle.calls[number]
    made = {
        source.result: block
        for block, source in enumerate(cut.tangle.sources)
        if isinstance(source, Returned) and source.call == number
    }
    left = ", ".join(f"b{made[at]}" for at in sorted(made, key=lambda at: at or 0))
    operands = [_text(cut, each) for each in call.args]
    operands += [f"{key}={_text(cut, value)}" for key, value in call.kwargs.items()]
    return f"{left} = {call.function.__name__.strip('_')}({', '.join(operands)})"


def _text(cut: Cut, tree: Any) -> str:
    """Return the text of an argument of a call."""
    if type(tree) is Ref:
        source = cut.tangle.sources[tree.block]
        return f"state.{source.key}" if isinstance(source, Kept) else _of_input(cut, tree.block)
    if type(tree) is Argument:
        return names.operand(~tree.position)
    if isinstance(tree, Tensor):
        return f"a tensor of shape {tuple(tree.shape)}"
    if isinstance(tree, (list, tuple)):
        return f"({', '.join(_text(cut, each) for each in tree)})"
    if isinstance(tree, Mapping):
        return f"{{{', '.join(f'{key}: {_text(cut, value)}' for key, value in tree.items())}}}"
    return repr(tree)


def _of_input(cut: Cut, block: int) -> str:
    """Return the name of a block, or of the place where it lies as it is."""
    source = cut.tangle.sources[block]
    if isinstance(source, Fed) and cut.tangle.is_direct(source):
        return cut.tangle.inputs[source.value].name
    return f"b{block}"

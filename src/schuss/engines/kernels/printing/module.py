"""Prints a program as the text of its kernel, for a device to compile.

A kernel is a function or more for each pass, and one for what is left to do for each tensor when
they are through.
"""

from __future__ import annotations

from typing import NamedTuple

from schuss.engines.devices.device import Device
from schuss.engines.kernels.printing import elements, matrices
from schuss.engines.kernels.printing.statements import Slot, Statements
from schuss.engines.program.operations import SIZES, Form
from schuss.engines.program.program import Place, Program
from schuss.engines.program.schedule import SMALLER, Function, schedule
from schuss.storage.kinds import Kinds

_NAMES = {Form.ELEMENT: "pass", Form.ROW: "rows", Form.COLUMN: "columns", Form.MATRIX: "matrices"}


class Pass(NamedTuple):
    """A function of a kernel, whose work threads share.

    Attributes:
        name: Its name.
        by_tensor: It takes tensor by tensor, not entry by entry of the table.
        reductions: Those that each entry makes a partial one of: name, and position of the total.
    """

    name: str
    by_tensor: bool
    reductions: tuple[tuple[str, int], ...]


class KernelSource(NamedTuple):
    """The text of a kernel, and how to launch it.

    Attributes:
        text: A module.
        passes: The functions that go through the tensors, in order.
        closing: Name of the function that comes last, and goes through the tensors, or None.
        totals: How many reductions leave one number for a tensor.
        columns: Places, in the order of the addresses.
        slots: Memory of its own, whose addresses follow.
        tiled: It sees tensors as matrices.
    """

    text: str
    passes: tuple[Pass, ...]
    closing: str | None
    totals: int
    columns: tuple[Place, ...]
    slots: tuple[Slot, ...]
    tiled: bool


def kernel_source(program: Program, kinds: Kinds, device: Device) -> KernelSource:
    """Return the source of the kernel of a program.

    Args:
        program: The program.
        kinds: How the numbers are stored.
        device: The device that is to run it.
    """
    functions = schedule(program)
    statements = Statements(program, functions, kinds, device)
    text = device.module(kinds.real)
    tiled = _sees_matrices(program)
    passes = []
    for each in functions:
        name = f"{_NAMES[each.form]}_{each.number}"
        lines = (matrices if tiled else elements).body(statements, each)
        text += device.function(name, _does(each), lines)
        by_tensor = each.form is not Form.ELEMENT
        whole = () if by_tensor else [v for v in each.reductions if v in statements.totals]
        totals = ((statements.reduction_name(v), statements.totals[v]) for v in whole)
        passes.append(Pass(name, by_tensor, tuple(totals)))
    closing = [output for output in program.outputs if output[0].per_tensor]
    if closing:
        text += device.function("closing", "End the step.", elements.closing(statements, closing))
    return KernelSource(
        text,
        tuple(passes),
        "closing" if closing else None,
        len(statements.totals),
        tuple(statements.columns),
        tuple(statements.slots),
        tiled,
    )


def _sees_matrices(program: Program) -> bool:
    return any(value.form in SMALLER for value in program.values) or any(
        operation in SIZES for operation, *_ in program.nodes
    )


def _does(each: Function) -> str:
    if each.form is not Form.ELEMENT:
        return f"Go through {_NAMES[each.form]}."
    return "Step the parameters." if each.outputs else "Make partial reductions."

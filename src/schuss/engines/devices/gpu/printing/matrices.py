"""Prints the functions of a program that sees tensors as matrices."""

from __future__ import annotations

from schuss.engines.devices.gpu.printing.blocks import shape
from schuss.engines.devices.gpu.printing.smaller import Smaller
from schuss.engines.devices.gpu.printing.statements import Statements
from schuss.engines.devices.gpu.printing.tiles import Elements
from schuss.engines.devices.layout import Pass
from schuss.engines.program.operations import Form
from schuss.engines.program.schedule import Function

__all__ = ["function", "shape"]


def function(statements: Statements, about: Pass, made: Function) -> str:
    """Print a function that goes through tiles, or through a smaller form."""
    printer = Elements if made.form is Form.ELEMENT else Smaller
    return printer(statements, made).printed(about)

"""Prints a program as the text of its kernel, for Numba to compile.

A kernel is a function or more for each pass, and one for what is left to do for each tensor when
they are through.
"""

from __future__ import annotations

from collections.abc import Iterable

from schuss.engines.devices.cpu.printing import elements, matrices
from schuss.engines.devices.cpu.printing.statements import Statements
from schuss.engines.devices.layout import KernelSource, Layout, pass_of, sees_matrices, source_of
from schuss.engines.program.program import Program
from schuss.engines.program.schedule import schedule
from schuss.storage.kinds import Kinds

_MODULE = '''\
"""A step in {real}."""

import math

import numba
from numpy import {real} as real, float64 as double, int64

from schuss.engines.devices.cpu.functions import *
from schuss.engines.devices.cpu.halves import *
from schuss.engines.devices.cpu.numbers import *
{more}
zero, half, one = real(0), real(0.5), real(1)
'''

_CODECS = "from schuss.engines.devices.cpu.codecs import *\n"

_FUNCTION = '''

@numba.cfunc("void(int64)", error_model="numpy", fastmath={{"contract"}})
def {name}(job):
    """{does}"""
    {body}
'''


def kernel_source(program: Program, kinds: Kinds) -> KernelSource:
    """Return the source of the kernel of a program.

    Args:
        program: The program.
        kinds: How the numbers are stored.
    """
    functions = schedule(program)
    layout = Layout(program, functions, kinds)
    statements = Statements(layout)
    printer = matrices if sees_matrices(program) else elements
    text = _MODULE.format(real=kinds.real, more=_CODECS if layout.has_codecs else "")
    passes = [pass_of(layout, each) for each in functions]
    for each, about in zip(functions, passes, strict=True):
        text += _function(about.name, about.does, printer.body(statements, each))
    closing = [output for output in program.outputs if output[0].per_tensor]
    if closing:
        text += _function("closing", "End the step.", elements.closing(statements, closing))
    return source_of(layout, text, passes, "closing" if closing else None)


def _function(name: str, does: str, body: Iterable[str]) -> str:
    return _FUNCTION.format(name=name, does=does, body="\n    ".join(body))

"""Prints a program as the text of its kernel, for Triton to compile.

The passes are those of the CPU's kernel, from the same schedule.
"""

from __future__ import annotations

from schuss.engines.devices.gpu.expressions import TYPES
from schuss.engines.devices.gpu.printing import coded, elements, matrices
from schuss.engines.devices.gpu.printing.statements import Statements
from schuss.engines.devices.layout import KernelSource, Layout, pass_of, sees_matrices, source_of
from schuss.engines.program.program import Program
from schuss.engines.program.schedule import schedule
from schuss.storage.kinds import Kinds

_MODULE = '''\
"""A step in {real}."""

import triton
import triton.language as tl

from schuss.engines.devices.gpu.functions_compiled import *
{more}
REAL = tl.constexpr({type})
PARTIAL = tl.constexpr({type})

# Else there would be a kernel for one tensor, one for a multiple of 16, and one for all others.
kernel = triton.jit(
    do_not_specialize=["begin", "words", "first_entry", "entries", "tensors"],
    do_not_specialize_on_alignment=["skip"],
)
'''


def kernel_source(program: Program, kinds: Kinds) -> KernelSource:
    """Return the source of the kernel of a program.

    Args:
        program: The program.
        kinds: How the numbers are stored.

    Raises:
        UnfusableError: Some are stored in a way that no kernel for a GPU reads.
    """
    functions = schedule(program)
    layout = Layout(program, functions, kinds)
    printer = matrices if sees_matrices(program) else elements
    coded.check(layout, with_matrices=printer is matrices)
    statements = Statements(layout)
    more = coded.imports(layout)
    text = _MODULE.format(real=kinds.real, type=TYPES[kinds.real], more=more)
    passes = [pass_of(layout, each, shared=True) for each in functions]
    for each, about in zip(functions, passes, strict=True):
        text += printer.function(statements, about, each)
    closing = [output for output in program.outputs if output[0].per_tensor]
    if closing:
        shapes = matrices.shape() if printer is matrices else []
        text += elements.closing(statements, closing, shapes)
    made = source_of(layout, text, passes, "closing" if closing else None)
    return made._replace(maps=coded.maps(layout))

"""The order of a kernel's work: programs cut into passes, and passes into functions.

A pass goes through the elements of all tensors, or through what there is one number of for each
matrix, column or row, or through several of these: the smaller ones first, since what they make is
repeated in the larger ones.
"""

from __future__ import annotations

from typing import NamedTuple

from schuss.engines.program.operations import Form
from schuss.engines.program.program import Place, Program

SMALLER = (Form.MATRIX, Form.COLUMN, Form.ROW)
"""Forms of which there are more numbers than one, and fewer than elements."""


class Function(NamedTuple):
    """The work of a pass for everything of one form.

    Attributes:
        number: Of the pass.
        form: The form that it goes through.
        needed: The values that it computes or is given, in order.
        reductions: Those it makes, of values of its form.
        outputs: Places of its form that it writes, and what.
        saved: Values of its form that functions of other forms need, and so are saved for them.
    """

    number: int
    form: Form
    needed: tuple[int, ...]
    reductions: tuple[int, ...]
    outputs: tuple[tuple[Place, int], ...]
    saved: tuple[int, ...]


def schedule(program: Program) -> list[Function]:
    """Return the functions of a program's kernel, in the order in which they run.

    A value that is one number for a tensor is computed wherever it is needed, and written at last;
    that is no function here.

    Args:
        program: The program.
    """
    found: list[Function] = []
    wanted: set[int] = set()
    reductions = [v for v in range(len(program.values)) if program.is_reduction(v)]
    for number in reversed(range(program.passes)):
        complete = {v for v in reductions if program.values[v].after <= number}
        for form in (Form.ELEMENT, *reversed(SMALLER)):
            function = _function(program, number, form, complete, wanted)
            if function is not None:
                found.append(function)
                values = program.values
                wanted |= {v for v in function.needed if values[v].form in {*SMALLER} - {form}}
    return found[::-1]


def of_elements(program: Program, value: int) -> bool:
    """Tell whether a value is a reduction of elements."""
    operands = program.operands(value)
    return bool(operands) and program.values[operands[0]].form is Form.ELEMENT


def is_saved_when_reduced(program: Program, value: int) -> bool:
    """Tell whether a value is a statistic of statistics, which is made at once, not in parts."""
    of_smaller = program.is_reduction(value) and not of_elements(program, value)
    return of_smaller and program.values[value].form in SMALLER


def _function(
    program: Program, number: int, form: Form, complete: set[int], wanted: set[int]
) -> Function | None:
    reductions = program.reduced_in(number, form)
    outputs = program.written_in(number, form)
    saved = [
        v
        for v in sorted(wanted)
        if program.values[v].form is form
        and program.values[v].after == number
        and not is_saved_when_reduced(program, v)
    ]
    if not (reductions or outputs or saved):
        return None
    others = {*SMALLER} - {form}
    given = complete | {v for v, about in enumerate(program.values) if about.form in others}
    sinks = [program.operands(v)[0] for v in reductions] + [v for _, v in outputs] + saved
    needed = program.needed(sinks, given)
    return Function(number, form, tuple(needed), tuple(reductions), tuple(outputs), tuple(saved))

"""The common part of functions of rows and columns, whether they go through tiles or less."""

from __future__ import annotations

from schuss.engines.devices.gpu.printing.statements import Statements
from schuss.engines.devices.tables.tiles import SHAPE
from schuss.engines.program import names
from schuss.engines.program.operations import Form
from schuss.engines.program.program import Place
from schuss.engines.program.schedule import Function


def shape(count: int = len(SHAPE)) -> list[str]:
    """Print the loading of the shape of a tensor, or of the beginning of it."""
    return [
        f"{name} = tl.load(shapes + {len(SHAPE)} * tensor + {index})"
        for index, name in enumerate(SHAPE[:count])
    ]


class Printer:
    """Prints one function."""

    def __init__(self, statements: Statements, made: Function) -> None:
        self.statements = statements
        self.layout = statements.layout
        self.function = made
        self.values = statements.program.values

    def mine(self, form: Form) -> list[int]:
        """Return the values of one form that the function needs."""
        return [v for v in self.function.needed if self.values[v].form is form]

    def places(self) -> list[Place]:
        """Return the places that the function reads and writes block by block."""
        inputs, form = self.statements.program.inputs, self.function.form
        found = {inputs[v] for v in self.mine(form) if v < len(inputs)}
        found |= {place for place, _ in self.function.outputs}
        return [place for place in self.layout.columns if place in found]

    def head(self) -> list[str]:
        """Print what is the same for a whole tensor."""
        form, totals = self.function.form, self.layout.totals
        given = {v for v in self.function.needed if self.values[v].form not in (form, Form.TENSOR)}
        lines = self.statements.arguments(self.function.needed, given | totals.keys())
        touched = {*self.function.needed, *self.function.reductions}
        for column, slot in enumerate(self.layout.slots, start=len(self.layout.columns)):
            if slot.value in touched:
                name = names.slot(slot.value, partials=slot.partials)
                lines.append(f"{name} = {self.statements.address(column)}")
        lines += map(self.statements.whole, self.mine(Form.TENSOR))
        return lines + self.started(Form.TENSOR)

    def reduced(self, form: Form) -> list[int]:
        """Return the reductions that leave numbers of some form."""
        return [v for v in self.function.reductions if self.values[v].form is form]

    def started(self, form: Form) -> list[str]:
        """Print the beginning of reductions that leave numbers of some form."""
        shape, name = self.block(), self.statements.reduction
        return [
            f"{names.partial(v)} = started(tl.zeros({shape}, PARTIAL), {name(v)})"
            for v in self.reduced(form)
        ]

    def accumulated(self, form: Form) -> list[str]:
        """Print the taking of one number more into each lane of reductions."""
        return [
            f"{names.partial(v)} = accumulated({names.partial(v)}, "
            f"{self.statements.reduced(v)}.to(PARTIAL), present, {self.statements.reduction(v)})"
            for v in self.reduced(form)
        ]

    def loaded(self, value: int, first: str, index: str, present: str) -> str:
        """Print how a value that was saved is loaded."""
        base = f"{names.slot(value, partials=False)} + {self.statements.real_size} * ({first})"
        text = f"{names.value(value)} = load({base}, {index}, {present}, REAL, REAL)"
        return f"{text} != 0" if self.values[value].predicate else text

    def joined(self, value: int, axis: int | None) -> str:
        """Print the joining of the lanes of a reduction."""
        return f"joined({names.partial(value)}, {axis}, {self.statements.reduction(value)})"

    def tail(self) -> list[str]:
        """Print what a function leaves of each tensor."""
        return [
            f"tl.store(partials + {names.of_entry(index)}, {self.joined(v, None)})"
            for index, v in enumerate(self.reduced(Form.TENSOR))
        ]

    def block(self) -> str:
        """Print the shape of a block."""
        raise NotImplementedError

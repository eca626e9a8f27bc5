"""Prints how portions of encoded places are decoded before a loop over elements, and encoded after.

A portion is a stretch of a tensor that begins with a block and ends with one, or where the tensor
ends.
"""

from __future__ import annotations

from collections.abc import Collection

from schuss.engines.devices.cpu.printing.statements import Statements
from schuss.engines.devices.layout import DECODED, scales_of
from schuss.engines.program import names
from schuss.engines.program.program import Place
from schuss.engines.program.schedule import Function


class Coded:
    """Prints the portions of the encoded places of a function.

    Args:
        statements: Prints the statements of the program.
        function: The function.

    Attributes:
        places: The places that are encoded.
    """

    def __init__(self, statements: Statements, function: Function) -> None:
        self._statements = statements
        inputs = statements.program.inputs
        self._read = {inputs[v] for v in function.needed if v < len(inputs)}
        self._written = {place for place, _ in function.outputs}
        used = self._read | self._written
        columns = statements.layout.columns
        self.places = [p for p in columns if p in used and statements.layout.codec(p)]

    def rooms(self) -> list[str]:
        """Print the taking of room for the numbers of a portion of each place."""
        return [f"{self._room(place)} = room_of_portion()" for place in self.places]

    def opened(self, first: str) -> list[str]:
        """Print where codes and scales of a portion are, and the decoding of those that are read.

        Args:
            first: The name of the number of its first element; `count` is how many it has.
        """
        return [
            *(self._base(place, first) for place in self.places),
            *(self._base_of_scales(place, first) for place in self.places),
            *self._called("decode", self._read),
        ]

    def closed(self) -> list[str]:
        """Print the encoding of a portion at the places that are written to."""
        return self._called("encode", self._written)

    def bases(self, first: str = "") -> list[str]:
        """Print where the numbers of a portion lie if they are counted from the tensor's first.

        Args:
            first: The name of the number of its first element; nothing if they are counted from it.
        """
        back = f" - size_of_{DECODED} * {first}" if first else ""
        return [
            f"{self._statements.base(place)} = {self._room(place)}{back}" for place in self.places
        ]

    def _called(self, verb: str, among: Collection[Place]) -> list[str]:
        layout, found = self._statements.layout, []
        for place in self.places:
            codec = layout.codec(place)
            if codec is not None and place in among:
                scales = names.place(layout.column(scales_of(place)))
                codes = names.place(layout.column(place))
                room = self._room(place)
                found.append(f"{verb}_{codec.name}({codes}, {scales}, {room}, count)")
        return found

    def _room(self, place: Place) -> str:
        return names.room(self._statements.layout.column(place))

    def _base(self, place: Place, first: str) -> str:
        layout = self._statements.layout
        codec, column = layout.codec(place), layout.column(place)
        offset = f"{first} // {codec.per_byte}" if codec and codec.per_byte > 1 else first
        return f"{names.place(column)} = {self._statements.address(column)} + {offset}"

    def _base_of_scales(self, place: Place, first: str) -> str:
        codec = self._statements.layout.codec(place)
        column = self._statements.layout.column(scales_of(place))
        offset = f"{codec.scale.itemsize} * ({first} // {codec.block})" if codec else ""
        return f"{names.place(column)} = {self._statements.address(column)} + {offset}"

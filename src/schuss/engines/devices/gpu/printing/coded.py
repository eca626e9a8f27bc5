"""Prints how a block of numbers that are kept as codes is read and written."""

from __future__ import annotations

from schuss.engines.devices.gpu.codecs import MAPS, MODULES
from schuss.engines.devices.gpu.printing.statements import Statements
from schuss.engines.devices.layout import Layout, scales_of
from schuss.engines.errors import UnfusableError
from schuss.engines.program import names
from schuss.engines.program.program import Place
from schuss.storage.codecs import Codec


def check(layout: Layout, *, with_matrices: bool) -> None:
    """Refuse codes that no kernel for a GPU reads.

    Args:
        layout: The memory of the kernel.
        with_matrices: The kernel sees rows and columns.

    Raises:
        UnfusableError: There are some.
    """
    for place in layout.program.inputs:
        codec = layout.codec(place)
        if codec is not None and (with_matrices or codec.name not in MODULES):
            beside = " with rows and columns" if with_matrices else ""
            raise UnfusableError(
                f"{place.name} is kept as {codec.name}, which no kernel{beside} decodes on a GPU"
            )


def imports(layout: Layout) -> str:
    """Print the lines of a module that import the functions of its codecs."""
    used = {MODULES[codec.name] for codec in map(layout.codec, layout.program.inputs) if codec}
    return "".join(
        f"from schuss.engines.devices.gpu.{name}_compiled import *\n" for name in sorted(used)
    )


def maps(layout: Layout) -> tuple[str, ...]:
    """Return the codecs of a kernel whose maps it looks up; their addresses come last."""
    found = {codec.name for codec in map(layout.codec, layout.program.inputs) if codec}
    return tuple(name for name in MAPS if name in found)


def bases(statements: Statements, place: Place, codec: Codec) -> dict[str, str]:
    """Print where the codes of a chunk begin, its scales, and the map of the codec, by name."""
    layout, scales = statements.layout, scales_of(place)
    codes, own = (statements.address(layout.column(each)) for each in (place, scales))
    byte = "first" if codec.per_byte == 1 else f"first // {codec.per_byte}"
    scale = f"{codec.scale.itemsize} * (first // {codec.block})"
    found = {
        names.place(layout.column(place)): f"{codes} + {byte}",
        names.place(layout.column(scales)): f"{own} + {scale}",
    }
    if codec.name in MAPS:
        column = len(layout.columns) + len(layout.slots) + maps(layout).index(codec.name)
        found[_map(codec)] = f"tl.load(addresses + {names.of_tensor(column)})"
    return found


def decoded(layout: Layout, place: Place, codec: Codec) -> str:
    """Print the numbers of a block."""
    begin = f"{_map(codec)}, " if codec.name in MAPS else ""
    return f"decode_{codec.name}({begin}{_memory(layout, place)}, EVEN).to(REAL)"


def encoded(layout: Layout, place: Place, codec: Codec, number: str) -> str:
    """Print how a block of numbers is written."""
    return f"encode_{codec.name}({_memory(layout, place)}, {number}, EVEN)"


def _memory(layout: Layout, place: Place) -> str:
    columns = map(layout.column, (place, scales_of(place)))
    return f"{', '.join(map(names.place, columns))}, at, i, left"


def _map(codec: Codec) -> str:
    return f"map_{codec.name}"

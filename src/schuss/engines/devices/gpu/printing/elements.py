"""Prints the functions that go through chunks, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schuss.engines.devices.gpu.printing import coded
from schuss.engines.devices.gpu.printing.statements import Statements
from schuss.engines.devices.layout import Pass
from schuss.engines.program import names
from schuss.engines.program.program import Place
from schuss.engines.program.schedule import Function

_PASS = '''

@triton.jit
def {name}_blocks(
    {given}tensor, first, count, entry, addresses, arguments, partials, totals, entries, tensors,
    BLOCK: tl.constexpr, EVEN: tl.constexpr,
):
    """Go through a chunk, which with EVEN is aligned to 16 bytes, of a multiple of 8 numbers."""
    one = tl.full([], 1.0, REAL)
    i = tl.arange(0, BLOCK)
{head}
    for at in range(0, count, BLOCK):
        left = count - at
        if EVEN:
            left = tl.multiple_of(left, 8)  # so that 8 neighbours are present or not
        present = i < left
{loop}
{tail}


@kernel
def {name}(
    table, addresses, upload, begin, words, skip, partials, totals, entries, tensors,
    BLOCK: tl.constexpr, SEVERAL: tl.constexpr,
):
    """{does}"""
    entry = tl.program_id(0)
    tensor = tl.load(table + 3 * entry)
    first = tl.load(table + 3 * entry + 1)
    count = tl.load(table + 3 * entry + 2).to(tl.int32)
    count = tl.where(is_stepped(upload, begin, words, tensor, skip), count, 0)
    arguments = arguments_of(upload, begin, words, tensors, tensor, SEVERAL)
{bases}
    if (count % 8 == 0) & (({aligned}) % 16 == 0):
        {name}_blocks({given}tensor, first, count, entry, addresses, arguments, partials, totals, entries, tensors, BLOCK, True)
    else:
        {name}_blocks({given}tensor, first, count, entry, addresses, arguments, partials, totals, entries, tensors, BLOCK, False)
'''  # noqa: E501  # the lines of a kernel

_CLOSING = '''

@kernel
def closing(addresses, upload, begin, words, skip, totals, tensors, {shapes}SEVERAL: tl.constexpr):
    """Write what there is one number of for each tensor."""
    tensor = tl.program_id(0)
    one = tl.full([], 1.0, REAL)
    arguments = arguments_of(upload, begin, words, tensors, tensor, SEVERAL)
    if is_stepped(upload, begin, words, tensor, skip):
{body}
'''


def function(statements: Statements, about: Pass, made: Function) -> str:
    """Print a function that goes through chunks."""
    values, layout = statements.program.values, statements.layout
    whole = [v for v in made.needed if values[v].per_tensor]
    single = [v for v in made.needed if not values[v].per_tensor]
    inputs = statements.program.inputs
    bases = {inputs[v] for v in single if v < len(inputs)}
    bases |= {place for place, _ in made.outputs}
    places = [place for place in layout.columns if place in bases]
    head = [*statements.arguments(made.needed, layout.totals), *map(statements.whole, whole)]
    head += [f"{names.partial(v)} = {_started(statements, v)}" for v in made.reductions]
    loop = [_computed(statements, v) for v in single]
    loop += [f"{names.partial(v)} = {_accumulated(statements, v)}" for v in made.reductions]
    loop += [_stored(statements, place, value) for place, value in made.outputs]
    tail = [
        f"tl.store(partials + {names.of_entry(index)}, "
        f"joined({names.partial(v)}, None, {statements.reduction(v)}))"
        for index, v in enumerate(made.reductions)
    ]
    given = _bases(statements, places)
    aligned = [names.place(layout.column(place)) for place in places]
    return _PASS.format(
        name=about.name,
        does=about.does,
        given="".join(f"{name}, " for name in given),
        aligned=" | ".join(aligned),
        bases=indented(1, (f"{name} = {address}" for name, address in given.items())),
        head=indented(1, head),
        loop=indented(2, loop),
        tail=indented(1, tail),
    )


def closing(
    statements: Statements, outputs: Sequence[tuple[Place, int]], shapes: Sequence[str] = ()
) -> str:
    """Print the function that stores what there is one number of for each tensor.

    Args:
        statements: Prints its statements.
        outputs: Places, and what goes there.
        shapes: The loading of a tensor's shape, if any is needed.
    """
    layout = statements.layout
    needed = statements.program.needed([value for _, value in outputs], layout.totals)
    body = [*shapes, *statements.arguments(needed, layout.totals)]
    body += map(statements.whole, needed)
    for place, value in outputs:
        address, number = (
            statements.address(layout.column(place)),
            statements.operand("store", 0, value),
        )
        body.append(f"store_one({address}, {number}, {statements.kind(place)})")
    given = "shapes, " if shapes else ""
    return _CLOSING.format(body=indented(2, body), shapes=given)


def indented(depth: int, lines: Iterable[str]) -> str:
    """Return lines further to the right, as one text."""
    return "\n".join("    " * depth + line for line in lines)


def _bases(statements: Statements, places: Iterable[Place]) -> dict[str, str]:
    """Print where the memory of a chunk begins, by name."""
    found: dict[str, str] = {}
    for place in places:
        column, codec = statements.layout.column(place), statements.layout.codec(place)
        if codec is not None:
            found |= coded.bases(statements, place, codec)
            continue
        offset = f"{statements.size(place)} * first"
        found[names.place(column)] = f"{statements.address(column)} + {offset}"
    return found


def _block(statements: Statements, place: Place) -> str:
    base = names.place(statements.layout.column(place))
    return f"{base} + {statements.size(place)} * at, i, present"


def _computed(statements: Statements, value: int) -> str:
    if statements.program.node(value) is not None:
        return statements.computed(value, "[BLOCK]", "first + at + i")
    place, layout = statements.program.inputs[value], statements.layout
    codec, block = layout.codec(place), _block(statements, place)
    if codec is not None:
        return f"{names.value(value)} = {coded.decoded(layout, place, codec)}"
    return f"{names.value(value)} = load({block}, {statements.kind(place)}, REAL, EVEN)"


def _stored(statements: Statements, place: Place, value: int) -> str:
    number, codec = statements.operand("store", 0, value), statements.layout.codec(place)
    if codec is not None:
        return coded.encoded(statements.layout, place, codec, number)
    return f"store({_block(statements, place)}, {number}, {statements.kind(place)}, EVEN)"


def _started(statements: Statements, value: int) -> str:
    return f"started(tl.zeros([BLOCK], PARTIAL), {statements.reduction(value)})"


def _accumulated(statements: Statements, value: int) -> str:
    partial, number = names.partial(value), f"{statements.reduced(value)}.to(PARTIAL)"
    return f"accumulated({partial}, {number}, present, {statements.reduction(value)})"

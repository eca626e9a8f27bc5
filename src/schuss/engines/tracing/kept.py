"""The state of a rule that works on whole tensors, as it finds it and as it leaves it."""

from __future__ import annotations

from torch import Tensor

from schuss.contract import State
from schuss.engines.errors import PerTensorState, UnfusableError
from schuss.engines.program.stages import Kept
from schuss.engines.tracing.block import Block, as_block, is_like_element
from schuss.engines.tracing.blocks import blocks_of
from schuss.engines.tracing.standin import StandIn
from schuss.engines.tracing.tape import Tape


def blocks_of_state(tape: Tape) -> dict[str, Block]:
    """Return blocks for the state of another shape than its parameter's, by key."""
    kept = tape.dimensions.whole.kept if tape.dimensions.whole else {}
    return {key: Block(tape, blocks_of(tape).number(Kept(key), x)) for key, x in kept.items()}


def apart(after: State, before: State) -> tuple[State, dict[str, int]]:
    """Return the state that a rule leaves, and apart from it the blocks that become state, by key.

    A block that looks like the parameter is written by a program, as a stand-in is.

    Raises:
        UnfusableError: A block has several names, or may share memory with another one.
        PerTensorState: A block takes the place of a single number.
    """
    rest, blocks = dict(after), {}
    held: set[int] = set()
    for key, value in after.items():
        was = before.get(key)
        if type(value) is StandIn and type(was) is Block:
            del rest[key]
            blocks[key] = as_block(value).number
        if type(value) is not Block:
            continue
        if value.frozen or id(value) in held:
            raise UnfusableError(f"state {key!r} is a tensor that has another name too")
        held.add(id(value))
        del rest[key]
        if type(was) is Block and (was.shape, was.dtype) != (value.shape, value.dtype):
            raise UnfusableError(f"state {key!r} changes its shape or its precision")
        is_like = is_like_element(value) and tuple(value.shape) == value.tape.dimensions.shape
        if type(was) is StandIn or (type(was) is not Block and is_like):
            if not is_like:
                raise UnfusableError(f"state {key!r} changes its shape or its precision")
            rest[key] = value.element
        elif isinstance(was, Tensor) and was.shape == value.shape:
            raise PerTensorState(key)
        elif was is not None and type(was) is not Block:
            raise UnfusableError(f"state {key!r} becomes a tensor with dimensions")
        elif was is None or value.number != blocks_of(value.tape).number(Kept(key), value.like):
            blocks[key] = value.number
    return rest, blocks

"""Functions of whole tensors, as a rule calls them while it is traced.

A function that is given a block is tried on tensors without memory, so torch itself tells the shape
and the precision of the result, and the call is written down to be made in the step. An
operation on single elements of a block that looks like the parameter goes back into a program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from schuss.engines.errors import PerTensorState, UntraceableError, withdraw
from schuss.engines.program.stages import Argument, Call, Fed, Ref, Returned
from schuss.engines.tracing.block import Block, as_block, is_like_element, looks_like_parameter
from schuss.engines.tracing.blocks import CONVERTING, blocks_of, sizes_of
from schuss.engines.tracing.calculation import Number
from schuss.engines.tracing.failing import Failed
from schuss.engines.tracing.names import function_of_torch, in_place_name
from schuss.engines.tracing.several import Several
from schuss.engines.tracing.standin import METHODS, StandIn
from schuss.engines.tracing.tape import Tape
from schuss.engines.tracing.torch_functions import TORCH_FUNCTIONS
from schuss.storage.precision import HALF

_PERHAPS_VIEWS = frozenset({"contiguous", "flatten", "ravel", "reshape", "reshape_as"})
"""Functions whose results share memory with what they were given, if that is laid out so."""

_READING = frozenset({"allclose", "equal", "is_nonzero", "item", "nonzero", "numpy", "tolist"})

_LAYOUT = frozenset(
    """
    data_ptr is_contiguous is_set_to storage storage_offset stride untyped_storage
    """.split()  # noqa: SIM905  # a list of names to be read
)
"""Functions that tell how a tensor lies in memory, of which a block knows nothing."""

_RANDOM = ("bernoulli", "dropout", "lobpcg", "multinomial", "normal", "poisson", "rand")
_RANDOM_TOO = ("_dropout", "_lowrank")

_PLAIN = frozenset(TORCH_FUNCTIONS) - {"matmul", "mm", "outer", "dot", "vdot", "clone", "copy"}
"""Functions that a program has, for elements that look like those of a parameter."""


def constant(tape: Tape, tensor: Tensor) -> Any:
    """Return the block for a tensor that a rule has made, or has from elsewhere."""
    sizes_of(tape)
    return recorded(tape, torch.clone, (tensor,), {})


def result_of(base: str, x: StandIn, args: Sequence[Any], kwargs: dict[str, Any]) -> StandIn:
    """Return what a function makes of a stand-in and blocks, to be written to the stand-in."""
    if base == "copy":
        (source,) = args
        if source.shape != as_block(x).shape:
            source = called(torch.broadcast_to, (source, tuple(as_block(x).shape)), {})
        return source.element  # type: ignore[no-any-return]
    made = called(function_of_torch(base), (x, *args), kwargs)
    return made if type(made) is StandIn else made.element


def called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Write a function of torch down that was given blocks, or stand-ins, and return its result."""
    name = function.__name__
    if kwargs.get("out") is not None:
        return _left_in(function, args, **kwargs)
    base = in_place_name(name)
    if base is not None:
        return _written(name, base, args, kwargs)
    found = list(_stand_ins((args, kwargs)))
    plain = name.strip("_")
    if plain in _PLAIN and _are_elements(found):
        try:
            return METHODS[plain](*_elements(args), **_elements(kwargs))
        except UntraceableError as refusal:
            withdraw(refusal)
    if plain in _READING:
        raise UntraceableError("the value of a tensor")
    if plain in _LAYOUT:
        raise UntraceableError("how a tensor lies in memory")
    if plain.startswith(_RANDOM) or plain.endswith(_RANDOM_TOO):
        raise UntraceableError(f"torch.{plain} of a whole tensor")
    result = recorded(found[0].tape, function, args, kwargs)
    if plain in CONVERTING and type(result) is Block:
        return _fed_in_half(found[0], result)
    return result


def _fed_in_half(x: Block | StandIn, converted: Block) -> Block:
    """Return the numbers of a tensor in half precision, written so by a program where it can.

    Args:
        x: The tensor.
        converted: The result of a function that converts it.
    """
    blocks = blocks_of(x.tape)
    source = blocks.sources[(as_block(x) if isinstance(x, StandIn) else x).number]
    like = converted.like
    if not isinstance(source, Fed) or source.dtype in HALF or like.dtype not in HALF:
        return converted
    made = Block(x.tape, blocks.number(Fed(source.value, like.dtype), like))
    return made if made.shape == converted.shape else converted


def _left_in(
    function: Callable[..., Any], args: tuple[Any, ...], *, out: Any, **kwargs: Any
) -> Any:
    """Write the result of a function into the tensor that was given for it."""
    if type(out) not in (Block, StandIn):
        raise UntraceableError(f"torch.{function.__name__} with this out")
    made = called(function, args, kwargs)
    if type(out) is Block:
        return out.write(made)
    return out.overwrite(made if type(made) is StandIn else made.element)


def _written(name: str, base: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Write the result of a function into its first argument."""
    x, *rest = args
    if type(x) is StandIn:
        return METHODS[f"{base}_"](*_elements(args), **_elements(kwargs))
    if type(x) is not Block:
        tape = next(_stand_ins((rest, kwargs))).tape
        key = tape.numbers.get(id(x))
        raise UntraceableError(f"torch.{name}") if key is None else PerTensorState(key)
    if base == "copy" and isinstance(rest[0], (Block, StandIn)):
        source = as_block(rest[0]) if isinstance(rest[0], StandIn) else rest[0]
        if source.shape != x.shape:
            source = called(torch.broadcast_to, (source, tuple(x.shape)), {})
        return x.write(source)
    like = {"zero": "zeros_like", "fill": "full_like"}
    function = getattr(torch, like[base]) if base in like else getattr(Tensor, base, None)
    if function is None:
        raise UntraceableError(f"Tensor.{name}")
    return x.write(called(function, args, kwargs))


def recorded(
    tape: Tape, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Write a call down, and return blocks for what it returns."""
    name = function.__name__.strip("_")
    if args and isinstance(args[0], Tensor) and not args[0].dim():
        function = _of_number(function, args[0])
    noted, tried = _read(tape, args)
    noted_too, tried_too = _read(tape, kwargs)
    if tape.fails_at is not None and tape.fails_at == len(blocks_of(tape).calls):
        tape.fails_at = None  # the next one does not
        raise Failed
    try:
        result = function(*tried, **tried_too)
    except Exception as error:  # noqa: BLE001  # whatever the function raises
        raise UntraceableError(f"torch.{name} with these arguments ({error})") from None
    many = isinstance(result, (tuple, list))
    results = list(result) if many else [result]
    if not all(isinstance(each, Tensor) for each in results):
        if any(isinstance(each, Tensor) for each in results):
            raise UntraceableError(f"torch.{name}")
        return result
    blocks = blocks_of(tape)
    blocks.calls.append(Call(function, noted, noted_too))
    made = []
    for at, each in enumerate(results):
        source = Returned(len(blocks.calls) - 1, at if many else None)
        block = Block(tape, blocks.number(source, each))
        for operand in _stand_ins((args, kwargs)):
            if name in _PERHAPS_VIEWS or _share_memory(each, operand):
                block.see(operand)
                break
        made.append(block)
    return type(result)(made) if many else made[0]


def _of_number(function: Callable[..., Any], like: Tensor) -> Callable[..., Any]:
    """Return a function of tensors whose first operand is given as a number."""

    @wraps(function)
    def called(x: float, *others: Any, **kwargs: Any) -> Any:
        return function(torch.tensor(x, dtype=like.dtype, device=like.device), *others, **kwargs)

    return called


def _share_memory(made: Tensor, operand: Block | StandIn) -> bool:
    """Tell whether a function has returned a view of an operand."""
    block = operand if type(operand) is Block else None
    if type(operand) is StandIn and not operand.tape.is_predicate(operand):
        block = as_block(operand)
    return block is not None and _storage(made) == _storage(block.like)


def _storage(tensor: Tensor) -> object:
    return tensor.untyped_storage()._cdata


def _read(tape: Tape, tree: Any) -> tuple[Any, Any]:
    """Return arguments as they are written down, and as a function is tried with them."""
    if isinstance(tree, dict):
        pairs = {key: _read(tape, value) for key, value in tree.items()}
        return {k: v[0] for k, v in pairs.items()}, {k: v[1] for k, v in pairs.items()}
    if isinstance(tree, (tuple, list)):
        kind = list if isinstance(tree, list) else tuple  # an index may be either, and they differ
        both = [_read(tape, each) for each in tree]
        return kind(noted for noted, _ in both), kind(tried for _, tried in both)
    if type(tree) is slice:
        ends = [_read(tape, each) for each in (tree.start, tree.stop, tree.step)]
        return slice(*(noted for noted, _ in ends)), slice(*(tried for _, tried in ends))
    if type(tree) is StandIn:
        tree = as_block(tree)
    if type(tree) is Block:
        return Ref(tree.number), tree.like
    if isinstance(tree, Tensor) and tree.dim():
        blocks_of(tape).has_constants = True
        return tree.detach().clone(), tree.to("meta")  # the rule may write to it afterwards
    if type(tree) is Number and tree.is_whole and tree == tree.value:  # noted, to be compared again
        return tree.value, tree.value  # a dimension or a count, as most whole numbers are here
    if type(tree) in (float, Number, Several) or isinstance(tree, Tensor):
        return Argument(~tape.argument(tree)), _number_of(tree)
    return tree, tree


def _number_of(x: Any) -> float:
    """Return a number of the step to try a function with, which may refuse others.

    Any will do for one that a device has, or that parameters have each their own of.
    """
    if type(x) is Number:
        return float(x.value)
    return x if type(x) is float else 0.5


def _stand_ins(tree: Any) -> Iterator[Block | StandIn]:
    if type(tree) is Block or type(tree) is StandIn:
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _stand_ins(value)
    elif isinstance(tree, (tuple, list)):
        for value in tree:
            yield from _stand_ins(value)


def _are_elements(found: Sequence[Block | StandIn]) -> bool:
    """Tell whether a function of single elements may be part of a program."""
    blocks = [x for x in found if type(x) is Block]
    if not all(map(looks_like_parameter, blocks)):
        return False
    if len(blocks) == len(found):
        return all(map(is_like_element, blocks))
    # Beside a tensor of the rule's precision, a lower one is promoted to that.
    dtype = found[0].tape.like.dtype
    return all(torch.promote_types(x.dtype, dtype) is dtype for x in blocks)


def _elements(tree: Any) -> Any:
    if type(tree) is Block:
        return tree.element
    if isinstance(tree, dict):
        return {key: _elements(value) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        return [*map(_elements, tree)] if isinstance(tree, list) else (*map(_elements, tree),)
    return tree

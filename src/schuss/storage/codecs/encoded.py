"""Tensors that are kept as codes and scales, and read as ordinary ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from schuss.storage.codecs.codec import Codec
from schuss.storage.ranks import is_distributed, joined, moved, own_part

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self


class Encoded(Tensor):
    """A tensor that is kept as codes and scales.

    An operation decodes it, and one that writes into it encodes the result. `encoded[0] = 1.0`
    writes into it too. A view, as in `view = encoded[0]`, is a tensor of its own.

    Codes and scales remain the same two tensors, so that an engine may keep them. They are DTensors
    if several processes share a parameter.
    """

    _kept: tuple[Codec, Tensor, Tensor]

    def __new__(
        cls,
        codec: Codec,
        codes: Tensor,
        scales: Tensor,
        shape: torch.Size,
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Return the tensor that codes and scales stand for.

        Args:
            codec: The codec that keeps it.
            codes: The codes, contiguous, in the shape that the codec has for them.
            scales: The scales, too.
            shape: The shape that it is read in.
            dtype: The dtype that it is read as.
        """
        make: Callable[..., Self] = Tensor._make_wrapper_subclass
        tensor = make(cls, shape, dtype=dtype, device=codes.device)
        tensor._kept = codec, codes, scales
        return tensor

    @property
    def codec(self) -> Codec:
        """The codec that keeps it."""
        return self._kept[0]

    @property
    def codes(self) -> Tensor:
        """One for each number, as the codec packs them."""
        return self._kept[1]

    @property
    def scales(self) -> Tensor:
        """One for each block of numbers."""
        return self._kept[2]

    def decoded(self) -> Tensor:
        """Return its numbers as an ordinary tensor."""
        if is_distributed(self.codes):
            return joined(self._own_part().decoded(), self.shape, self.codes)
        if self._is_short:
            return self.codec.decoded(self.codes, self.scales, self.shape).to(self.dtype)
        numbers = torch.empty(self.numel(), dtype=self.dtype, device=self.device)
        for at in self._pieces():
            numbers[at].copy_(self.stretch(at).decoded())
        return numbers.view(self.shape)

    def assign(self, numbers: Tensor) -> None:
        """Take the numbers of another tensor, in the same memory."""
        with torch.no_grad():
            if is_distributed(self.codes):
                self._own_part().assign(own_part(moved(numbers, self.codes)))
                return
            if self._is_short:
                found = self.codec.encoded(numbers.float())
                for into, each in zip((self.codes, self.scales), found, strict=True):
                    into.view(-1).copy_(each.view(-1))
                return
            flat = numbers.reshape(-1)
            for at in self._pieces():
                self.stretch(at).assign(flat[at])

    def stretch(self, at: slice) -> Encoded:
        """Return some of its numbers in their order, in the same memory.

        Args:
            at: Where they are. It begins with a block.
        """
        block, per_byte = self.codec.block, self.codec.per_byte
        codes = self.codes.view(-1)[at.start // per_byte : -(-at.stop // per_byte)]
        scales = self.scales.view(-1)[at.start // block : -(-at.stop // block)]
        shape = torch.Size([at.stop - at.start])
        return Encoded(self.codec, codes, scales, shape, self.dtype)

    def _own_part(self) -> Encoded:
        """Return the rows that this rank has, in the same memory."""
        codes, scales = own_part(self.codes), own_part(self.scales)
        shape = torch.Size([len(codes), *self.shape[1:]])
        return Encoded(self.codec, codes, scales, shape, self.dtype)

    @property
    def _is_short(self) -> bool:
        return self.numel() <= _most_in_a_piece(self.device) or torch.compiler.is_compiling()

    def _pieces(self) -> Iterator[slice]:
        """Yield where pieces of whole blocks lie among the numbers.

        The operations that decode and encode take several times the memory of the numbers.
        """
        count, most = self.numel(), _most_in_a_piece(self.device)
        for begin in range(0, count, most):
            yield slice(begin, min(begin + most, count))

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write into some of the numbers, and encode all of them anew."""
        numbers = self.decoded()
        numbers[index] = value
        self.assign(numbers)

    @property
    def data(self) -> Tensor:
        """The tensor without its history, in the same memory; other numbers may be assigned."""
        return self.detach()

    @data.setter
    def data(self, numbers: Tensor) -> None:
        if numbers.shape != self.shape or numbers.device != self.device:
            raise RuntimeError(
                f"a tensor of shape {tuple(self.shape)} on {self.device} that is kept as "
                f"{self.codec.name} cannot become one of shape {tuple(numbers.shape)} on "
                f"{numbers.device}; put the other tensor in its place in the optimizer's state"
            )
        self.assign(numbers)

    def numpy(self, *, force: bool = False) -> NDArray[Any]:
        """Return the numbers as an array of its own memory."""
        return self.decoded().numpy(force=force)

    def tolist(self) -> Any:
        """Return the numbers as Python's own, in lists."""
        return self.decoded().tolist()

    def share_memory_(self) -> Self:
        """Move codes and scales into memory that other processes can open."""
        self.codes.share_memory_()
        self.scales.share_memory_()
        return self

    def is_shared(self) -> bool:
        """Tell whether other processes can open the memory."""
        return bool(self.codes.is_shared())

    def copied(self, device: torch.device, dtype: torch.dtype) -> Encoded:
        """Return a copy with memory of its own, on a device, that is read as some dtype."""
        codes, scales = (each.to(device).clone() for each in (self.codes, self.scales))
        return Encoded(self.codec, codes, scales, self.shape, dtype)

    def copied_for(self, param: Tensor, dtype: torch.dtype) -> Encoded:
        """Return a copy that lies where a parameter lies, divided among the ranks as that is."""
        copy = self.copied(param.device, dtype)
        if not is_distributed(param):
            return copy
        parts = moved(copy.codes, param), moved(copy.scales, param)
        return Encoded(self.codec, *parts, self.shape, dtype)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation on what codes stand for, and encode what it has written."""
        name = func.overloadpacket
        if name in _KEEPING and set(kwargs or {}) <= {"device", "memory_format"}:
            return _kept(args[0], (kwargs or {}).get("device"), copied=name not in _SHARING)
        numbers: dict[int, Tensor] = {}

        def plain(value: Any) -> Any:
            if not isinstance(value, Encoded):
                return value
            if id(value) not in numbers:
                numbers[id(value)] = value.decoded()
            return numbers[id(value)]

        result = func(*tree_map(plain, tuple(args)), **tree_map(plain, dict(kwargs or {})))
        written = {id(numbers[id(each)]): each for each in _written(func, args, kwargs or {})}
        for encoded in written.values():
            encoded.assign(numbers[id(encoded)])
        return tree_map(lambda value: written.get(id(value), value), result)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return what pickling keeps: the codec's name, and both tensors."""
        return _restored, (self.codec.name, self.codes, self.scales, self.shape, self.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Encoded:
        """Return a copy with memory of its own."""
        memo[id(self)] = copy = _kept(self, None, copied=True)
        return copy

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]  # which torch calls without
        """Show the numbers, and how they are kept."""
        return f"{self.decoded()!r} kept as {self.codec.name}"


PIECE = {"cpu": 1 << 17}
"""How many numbers are decoded or encoded at a time, by the type of the device: a multiple of every
block. On a CPU all that is computed with a piece is in the cache."""

ELSEWHERE = 1 << 22
"""The same for other devices."""


_told_for: ContextVar[str] = ContextVar("_told_for", default="cpu")


@contextmanager
def pieces_as_on(device: torch.device) -> Iterator[None]:
    """Go through tensors without memory in pieces that are as large as on a device."""
    before = _told_for.set(device.type)
    try:
        yield
    finally:
        _told_for.reset(before)


def _most_in_a_piece(device: torch.device) -> int:
    kind = _told_for.get() if device.type == "meta" else device.type
    return PIECE.get(kind, ELSEWHERE)


_SHARING = (torch.ops.aten.detach, torch.ops.aten.alias)
_KEEPING = (*_SHARING, torch.ops.aten.clone, torch.ops.aten._to_copy)


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Encoded]:
    """Return the tensors that an operation writes into."""
    schema = func._schema.arguments
    given = [*zip(schema, args, strict=False)]
    given += [(each, kwargs[each.name]) for each in schema if each.name in kwargs]
    found = [value for about, value in given if about.alias_info and about.alias_info.is_write]
    return [each for each in tree_leaves(found) if isinstance(each, Encoded)]


def _kept(tensor: Encoded, device: Any, *, copied: bool) -> Encoded:
    """Return the same codes: those of the tensor itself, or copies."""
    codes, scales = tensor.codes, tensor.scales
    if copied:
        codes, scales = (each.to(device or each.device, copy=True) for each in (codes, scales))
    return Encoded(tensor.codec, codes, scales, tensor.shape, tensor.dtype)


def parts_of(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors that have the memory of a tensor: of an encoded one, two."""
    return (tensor.codes, tensor.scales) if isinstance(tensor, Encoded) else (tensor,)


def copy_all(into: Sequence[Tensor], numbers: Sequence[Tensor]) -> None:
    """Write numbers into tensors that are kept alike."""
    if not isinstance(into[0], Encoded):
        torch._foreach_copy_(list(into), list(numbers))
        return
    for kept, each in zip(into, numbers, strict=True):
        if isinstance(kept, Encoded):
            kept.assign(each)


def _restored(
    name: str, codes: Tensor, scales: Tensor, shape: torch.Size, dtype: torch.dtype
) -> Encoded:
    from schuss.storage.codecs.named import CODECS

    return Encoded(CODECS[name], codes, scales, shape, dtype)


def encoded(codec: Codec, numbers: Tensor) -> Encoded:
    """Return a tensor as a codec keeps it, read in the dtype that it has."""
    part = own_part(numbers.detach())
    shape, device = part.shape, part.device
    codes = torch.empty(codec.shape_of_codes(shape), dtype=codec.code, device=device)
    scales = torch.empty(codec.shape_of_scales(shape), dtype=codec.scale, device=device)
    Encoded(codec, codes, scales, shape).assign(part)
    codes = joined(codes, codec.shape_of_codes(numbers.shape), numbers)
    scales = joined(scales, codec.shape_of_scales(numbers.shape), numbers)
    return Encoded(codec, codes, scales, numbers.shape, numbers.dtype)

"""Where torch keeps what is known of a tensor, looked up in real tensors.

Python takes about half a microsecond to ask for the gradient of a parameter, and as much again to
ask where it lies, which for thousands of small parameters is more than the step. Compiled code
reads the same from the objects of torch. Their layout is not promised by anybody: each place is
searched for in tensors that are known to differ there, and if one is not found, or is not where it
is in other tensors, compiled code does not look, and Python goes on.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from schuss.engines.devices.cpu.words import DIMENSIONS, REFERENCES, VERSION
from schuss.storage.kinds import DTYPES

_WORDS = 22
"""Words of the implementation of a tensor that are searched: no more than it has."""


class TorchLayout(NamedTuple):
    """Distances in bytes, from the beginning of the object named first.

    Attributes:
        implementation: Object of Python: address of the tensor's implementation.
        storage: Implementation: address of its storage.
        autograd: Implementation: address of what autograd keeps, or 0.
        version: Implementation: address of its version counter, or 0.
        dim: Implementation: how many dimensions; then come their sizes, and then their strides.
        offset: Implementation: its first number, counted from the beginning of the storage.
        kinds: Implementation: words with the dtype, the device, the layout and the lazy bits.
        masks: Which bits of each of these tell so.
        grad: The address of the implementation of the gradient, in autograd's data.
        absent: Address of the implementation that stands for no gradient.
        data: Storage: address of its memory.
        nbytes: Storage: the size of its memory.
        new_reference: Address of the function that makes a reference to an implementation.
        end_reference: Address of the function that ends one.
    """

    implementation: int
    storage: int
    autograd: int
    version: int
    dim: int
    offset: int
    kinds: tuple[int, int]
    masks: tuple[int, int]
    grad: int
    absent: int
    data: int
    nbytes: int
    new_reference: int
    end_reference: int


_LOW = 0xFFFF
"""The bits of a word that hold the code of a dtype."""


@cache
def torch_layout() -> TorchLayout | None:
    """Return the layout of the torch that runs here, or None if it is not as expected."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    try:
        found = _looked_up()
    except (OSError, AttributeError, LookupError, ValueError):
        return None
    return found if _holds(found) else None


def _looked_up() -> TorchLayout:
    with torch.enable_grad():
        parameter, without = (torch.nn.Parameter(_sample()) for _ in range(2))
    parameter.grad = torch.zeros_like(parameter)
    words = _implementation(parameter)
    storage = parameter.untyped_storage()
    stored = _words(storage._cdata, 10)
    strides = (*parameter.shape, 0, 0, *parameter.stride())
    dim = _at([words[k : k + 9] for k in range(_WORDS)], [3, *strides])
    offset = _at(words, parameter.storage_offset())
    autograd, grad = _pointed_to(words, parameter.grad._cdata)
    kinds, masks = _kinds(after=offset)
    library = ctypes.CDLL(torch._C.__file__)
    functions = ("aoti_torch_new_tensor_handle", "aoti_torch_delete_tensor_object")
    new, end = (ctypes.cast(getattr(library, f), ctypes.c_void_p).value or 0 for f in functions)
    return TorchLayout(
        implementation=8 * _at(_words(id(parameter), 5), parameter._cdata),
        storage=8 * _at(words, storage._cdata),
        autograd=autograd,
        version=_version_counter(parameter),
        dim=8 * dim,
        offset=8 * offset,
        kinds=kinds,
        masks=masks,
        grad=grad,
        absent=_word(_word(without._cdata + autograd) + grad),
        data=8 * stored.index(storage.data_ptr()),  # which may also be what frees it
        nbytes=8 * _at(stored, storage.nbytes()),
        new_reference=new,
        end_reference=end,
    )


def _sample() -> Tensor:
    """Return a tensor whose sizes, strides and offset are found nowhere else in it."""
    with torch.device("cpu"):
        return torch.zeros(1237).as_strided((3, 5, 7), (211, 29, 2), 17)


def _kinds(after: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where the dtype is, and where the device, the layout and the lazy bits are.

    Beside the dtype there are bits that say nothing, or what sizes and strides say. The keys by
    which torch finds its functions tell everything else: they are the same for all dense tensors of
    a device.

    Args:
        after: Which word they come after, with one between.

    Returns:
        Two words, and the bits of each that count.
    """
    dtype, keys = after + 2, after + 3
    with torch.device("cpu"), torch.enable_grad():
        codes = {_implementation(torch.zeros(2, dtype=d))[dtype] & _LOW for d in DTYPES}
        lazy = torch.zeros(2, dtype=torch.complex64).conj()
        other = [torch.zeros(2).to_sparse(), lazy, lazy.imag, torch._efficientzerotensor(2)]
        leaf = torch.zeros(2, requires_grad=True)
        leaf.sum().backward()
        with torch.inference_mode():
            like = [torch.zeros(2)]
    other.append(torch.zeros(2, device="meta"))
    like += [leaf, leaf.detach(), leaf.data, torch.nn.Parameter(leaf.detach().clone()), leaf.t()]
    known = _implementation(torch.zeros(2, device="cpu"))[keys]
    noise = 0
    for tensor in (*like, *([] if leaf.grad is None else [leaf.grad])):
        noise |= known ^ _implementation(tensor)[keys]
    told = [(known ^ _implementation(tensor)[keys]) & ~noise for tensor in other]
    if len(codes) != len(DTYPES) or not all(told):
        raise LookupError
    return (8 * dtype, 8 * keys), (_LOW, _signed(~noise & (2**64 - 1)))


def _version_counter(tensor: Tensor) -> int:
    """Return where a tensor has its version counter."""
    candidates = []
    before = tensor._version
    for word, address in enumerate(_implementation(tensor)[:8]):
        if address > 1 << 16 and address % 8 == 0 and word > 1:
            candidates.append((8 * word, address))
    seen = [(place, at) for place, at in candidates if _half(at + VERSION) == before]
    with torch.no_grad():
        tensor.zero_()
    grown = [place for place, at in seen if _half(at + VERSION) == before + 1]
    if len(grown) != 1:
        raise LookupError
    return grown[0]


def _pointed_to(words: Sequence[int], implementation: int) -> tuple[int, int]:
    """Return where autograd's part is, and where in it the gradient is."""
    for word, address in enumerate(words[2:8], start=2):
        if address > 1 << 16 and address % 8 == 0:
            within = _words(address, 8)
            if implementation in within:
                return 8 * word, 8 * within.index(implementation)
    raise LookupError


def _holds(layout: TorchLayout) -> bool:
    """Check a layout on tensors of another kind than it was found with."""
    with torch.enable_grad(), torch.device("cpu"):
        tensor = torch.ones(4, 6, dtype=torch.float64).t().requires_grad_()
        (tensor * tensor).sum().backward()
    grad = tensor.grad
    if grad is None:
        return False
    implementation = _word(id(tensor) + layout.implementation)
    stored = _word(implementation + layout.storage)
    held = _half(grad._cdata + REFERENCES)
    lent = torch.frombuffer(bytearray(8), dtype=torch.uint8)
    return (
        implementation == tensor._cdata
        and stored == tensor.untyped_storage()._cdata
        and _word(stored + layout.data) == tensor.data_ptr()
        and _word(stored + layout.nbytes) == 192
        and _words(implementation + layout.dim, 3) == [2, 6, 4]
        and _words(implementation + layout.dim + 8 * (1 + DIMENSIONS), 2) == [1, 6]
        and _word(implementation + layout.offset) == 0
        and _word(_word(implementation + layout.autograd) + layout.grad) == grad._cdata
        and held == _use_count(grad) == _half(grad._cdata + REFERENCES)
        and _word(lent.untyped_storage()._cdata + layout.data) == lent.data_ptr()
    )


def _use_count(tensor: Any) -> int:
    """Return how many references to an implementation torch has counted."""
    return int(tensor._use_count())


def kinds_of(layout: TorchLayout, tensor: Tensor) -> list[int]:
    """Return what compiled code compares to tell of which kind a tensor is."""
    words = _implementation(tensor)
    pairs = zip(layout.kinds, layout.masks, strict=True)
    return [_signed(words[place // 8] & mask & (2**64 - 1)) for place, mask in pairs]


def references(counted: Tensor | torch.UntypedStorage) -> int:
    """Return how many references to what stands behind a tensor or a storage torch has counted.

    In the number are strong ones, weak ones, and whether there is an object of Python. It is equal
    for those of which torch has counted equally many.
    """
    return _word(counted._cdata + REFERENCES)


def version_of(layout: TorchLayout, tensor: Tensor) -> int:
    """Return the address of the version of a tensor, or 0 if it has none."""
    counter = _word(tensor._cdata + layout.version)
    return counter + VERSION if counter else 0


def identity(layout: TorchLayout, tensor: Tensor) -> list[int]:
    """Return what tells that a tensor is what it was, where it was, in the order of `OWN` words."""
    storage = tensor.untyped_storage()
    return [
        id(tensor),
        tensor._cdata,
        storage._cdata,
        _signed(_word(tensor._cdata + layout.version)),
        storage.data_ptr(),
        storage.nbytes(),
        tensor.storage_offset(),
        *kinds_of(layout, tensor),
        *(tensor.dim(), *tensor.shape, *tensor.stride()),
    ]


def _implementation(tensor: Tensor) -> list[int]:
    return _words(tensor._cdata, _WORDS)


def _words(address: int, count: int) -> list[int]:
    return list((ctypes.c_uint64 * count).from_address(address))


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value


def _half(address: int) -> int:
    return ctypes.c_uint32.from_address(address).value


def _signed(number: int) -> int:
    return ctypes.c_int64(number).value


def _at(words: Sequence[object], wanted: object) -> int:
    """Return which word is a certain one.

    Raises:
        LookupError: None is, or several are.
    """
    found = [k for k, each in enumerate(words) if each == wanted]
    if len(found) != 1:
        raise LookupError
    return found[0]

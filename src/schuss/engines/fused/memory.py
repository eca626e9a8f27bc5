"""Arrays at addresses, for compiled kernels."""

from __future__ import annotations

from typing import Any

import numba
from numba import carray, types  # type: ignore[attr-defined]  # exported by its __init__
from numba.extending import intrinsic


def _pointer_to(element: Any) -> Any:
    @intrinsic
    def pointer(typing_context: Any, address: Any) -> Any:
        def convert(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = context.get_value_type(signature.return_type)
            return builder.inttoptr(arguments[0], kind)

        return types.CPointer(element)(address), convert  # type: ignore[no-untyped-call]

    return pointer


_float32_pointer = _pointer_to(types.float32)
_float64_pointer = _pointer_to(types.float64)


@numba.njit(inline="always")
def float32_at(address: int, count: int) -> Any:
    """Return the array of `count` float32 at `address`."""
    return carray(_float32_pointer(address), count)


@numba.njit(inline="always")
def float64_at(address: int, count: int) -> Any:
    """Return the array of `count` float64 at `address`."""
    return carray(_float64_pointer(address), count)

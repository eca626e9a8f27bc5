"""What a kernel does with bits, compiled, beside the functions on tensors that define it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch

from schuss.engines.devices.cpu import halves, numbers
from schuss.storage.halves import FUNCTIONS, SHIFTS
from tests.storage.test_halves import every_upper_half

COUNT = len(every_upper_half())


def through_memory(kind: str) -> Callable[..., None]:
    """Return a loop that divides numbers, stores both parts, and joins them again."""
    upper, lower = getattr(halves, f"upper_{kind}"), getattr(halves, f"lower_{kind}")
    join = getattr(halves, f"join_{kind}")
    load_half, store_half = numbers.load_bfloat16, numbers.store_bfloat16
    load, store = getattr(numbers, f"load_{kind}"), getattr(numbers, f"store_{kind}")

    def loop(whole: Any, half: int, rest: int, back: Any) -> None:
        for i in range(len(whole)):
            store_half(half, i, upper(whole[i]))
            store(rest, i, lower(whole[i]))
        for i in range(len(whole)):
            back[i] = join(load_half(half, i), load(rest, i))

    return numba.njit(loop, error_model="numpy")


@pytest.mark.parametrize("kind", SHIFTS)
def test_a_kernel_divides_and_joins_as_tensors_do(kind):
    whole = every_upper_half()
    half = torch.empty(COUNT, dtype=torch.bfloat16)
    rest = torch.empty(COUNT, dtype=getattr(torch, kind))
    back = torch.empty(COUNT)
    through_memory(kind)(whole.numpy(), half.data_ptr(), rest.data_ptr(), back.numpy())
    expected = FUNCTIONS[f"upper_{kind}"](whole), FUNCTIONS[f"lower_{kind}"](whole)
    # torch's own conversion has several NaNs.
    assert torch.equal(half.float().view(torch.int32), expected[0].view(torch.int32))
    assert torch.equal(rest, expected[1].to(rest.dtype))
    joined = FUNCTIONS[f"join_{kind}"](half, rest)
    assert torch.equal(back.view(torch.int32), joined.view(torch.int32))


@pytest.mark.parametrize(("stream", "step"), [(0, 0), (1, 0), (12345, 2**24 - 1), (2**24 - 1, 7)])
def test_a_kernel_rounds_at_random_as_tensors_do(stream, step):
    rounded: Any = halves.stochastic

    @numba.njit
    def loop(whole: Any, stream: Any, step: Any, back: Any) -> None:
        for i in range(len(whole)):
            back[i] = rounded(whole[i], stream, step, i)

    whole = every_upper_half()
    back = np.empty(COUNT, dtype=np.float32)
    loop(whole.numpy(), np.float32(stream), np.float32(step), back)
    expected = FUNCTIONS["stochastic"](whole, stream, step)
    assert np.array_equal(back.view(np.int32), expected.view(torch.int32).numpy())


def test_the_bits_of_an_element_beyond_32_bits_are_those_of_its_last_32():
    rounded: Any = halves.stochastic

    @numba.njit
    def one(number: Any, element: Any) -> Any:
        return rounded(number, np.float32(3), np.float32(4), element)

    numbers_between = [np.float32(1 + k * 2.0**-12) for k in range(16)]
    for each in numbers_between:
        assert one(each, 5) == one(each, 5 + 2**32)

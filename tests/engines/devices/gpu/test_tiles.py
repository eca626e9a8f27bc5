"""Functions that go through tiles of large matrices, as Triton's compiler makes them for a GPU."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import schuss
from tests.engines.devices.gpu.machine_code import compiled, wide_expected
from tests.engines.devices.gpu.stubbed import Launched, stubbed_gpu


def tiles(name: str, dtype: torch.dtype) -> list[Launched]:
    """Return the functions of the first steps of an optimizer that go through tiles."""
    param = nn.Parameter(torch.ones((64, 256), dtype=dtype))
    with stubbed_gpu() as stub:
        optimizer = schuss.create_optimizer(name, [param], lr=0.1, fused=True)
        for _ in range(2):
            param.grad = torch.ones_like(param)
            optimizer.step()
    return [function for function in stub.launched if "COLUMNS" in function.constants]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["adafactor", "came"])
def test_a_tile_is_read_and_written_128_bits_at_once(name, dtype, record_property):
    found = tiles(name, dtype)
    assert found
    for function in found:
        made, expected = compiled(function, 90), wide_expected(function)
        assert expected[0] > 0
        assert (made.loads, made.stores) == expected
        assert made.spilled == 0
        record_property(f"registers of {function.name}", made.registers)

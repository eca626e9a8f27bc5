"""What every device has for kernels."""

from __future__ import annotations

import pytest
import torch

from schuss.engines.devices import device
from schuss.engines.devices.cpu import expressions as cpu
from schuss.engines.devices.device import device_for, keeps_numbers
from schuss.engines.devices.gpu import expressions as gpu
from schuss.engines.errors import NoDeviceKernelError
from schuss.engines.program.operations import OPERATIONS, REDUCTIONS


@pytest.mark.parametrize("of_device", [cpu, gpu], ids=["cpu", "gpu"])
def test_a_device_has_an_expression_for_every_operation_and_no_other(of_device):
    assert of_device.EXPRESSIONS.keys() == OPERATIONS.keys()


def test_the_cpu_has_an_accumulation_for_every_reduction_and_no_other():
    assert cpu.ACCUMULATIONS.keys() == REDUCTIONS.keys()


def test_what_is_missing_is_looked_for_once_and_told_every_time(monkeypatch):
    found = []

    def load():
        found.append(1)
        raise ImportError("No module named 'triton'")

    monkeypatch.setattr(device, "LOADERS", {"cuda": load})
    monkeypatch.setattr(device, "_absent", {})
    for _ in range(3):
        with pytest.raises(
            NoDeviceKernelError, match="device cuda .No module named 'triton'"
        ) as told:
            device_for(torch.device("cuda"))
        assert not told.value.is_expected
    assert not keeps_numbers(torch.device("cuda"))
    assert found == [1]


def test_a_device_without_kernels_is_named():
    with pytest.raises(NoDeviceKernelError, match="no kernel for device meta"):
        device_for(torch.device("meta"))

"""What every device has for kernels."""

from __future__ import annotations

import pytest
import torch

from schuss.engines.devices.cpu import expressions as cpu
from schuss.engines.devices.device import device_for
from schuss.engines.errors import NoDeviceKernelError
from schuss.engines.program.operations import OPERATIONS, REDUCTIONS

DEVICES = [cpu]


@pytest.mark.parametrize("device", DEVICES, ids=["cpu"])
def test_a_device_has_an_expression_for_every_operation_and_no_other(device):
    assert device.EXPRESSIONS.keys() == OPERATIONS.keys()
    assert device.ACCUMULATIONS.keys() == REDUCTIONS.keys()


def test_a_device_without_kernels_is_named():
    with pytest.raises(NoDeviceKernelError, match="no kernel for device meta"):
        device_for(torch.device("meta"))

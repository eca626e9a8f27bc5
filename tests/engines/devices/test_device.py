"""What every device has for kernels."""

from __future__ import annotations

import pytest
import torch

from schuss.engines.devices.device import device_for
from schuss.engines.errors import NoDeviceKernelError
from schuss.engines.program.operations import OPERATIONS, REDUCTIONS

DEVICES = ["cpu"]


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_has_an_expression_for_every_operation_and_no_other(name):
    device = device_for(torch.device(name))
    assert device.expressions.keys() == OPERATIONS.keys()
    assert device.accumulations.keys() == REDUCTIONS.keys()


def test_a_device_without_kernels_is_named():
    with pytest.raises(NoDeviceKernelError, match="no kernel for device meta"):
        device_for(torch.device("meta"))

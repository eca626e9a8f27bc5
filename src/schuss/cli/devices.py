"""The device that a command runs on."""

from __future__ import annotations

import torch

from schuss.cli.errors import OptionError

CPU = "cpu"


def check_device(device: str) -> None:
    """Check that tensors can be made on a device.

    Raises:
        OptionError: None can; says why.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise OptionError(f"--device {device} cannot be used: {reason}; --device cpu can") from None


def wait_for(device: str) -> None:
    """Wait until a device has done all that it was told to do."""
    if device == CPU:
        return
    wait = getattr(getattr(torch, torch.device(device).type, None), "synchronize", None)
    if wait is not None:
        wait(device)


def title_of(device: str) -> str:
    """Return the name of a device in prose: that of the card, if it tells it."""
    name = getattr(getattr(torch, torch.device(device).type, None), "get_device_name", None)
    return device if name is None else str(name(device))

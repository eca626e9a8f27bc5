"""The memory that a step takes for a while, beyond what is there before and after it.

Linux keeps the peak of a process's resident memory, and sets it back on demand. The peak includes
the memory of every allocator, torch's and NumPy's, as a count of torch's own allocations would not.
Before the step, memory that was freed earlier is given back, so that taking it again is seen as
well.
"""

from __future__ import annotations

import ctypes
import gc
import re
import statistics
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import torch

from schuss.cli.devices import CPU

_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
_RESET_PEAK: Final = "5"  # proc(5), since Linux 4.0
_STEPS: Final = 3
_OTHER_SYSTEM: Final = (OSError, AttributeError, TypeError)  # or another C library


def extra_memory(step: Callable[[], object], device: str = CPU) -> int | None:
    """Return the bytes that a step takes for a while; None where the system does not tell.

    The kernel counts pages for each processor apart, which makes it uncertain by 128 KiB for each.

    Args:
        step: The step.
        device: Where its tensors are; torch counts the bytes of a GPU.
    """
    if torch.device(device).type == "cuda":
        return _extra_on_gpu(step, device)
    if device != CPU:
        return None
    try:
        return max(0, round(statistics.median(_extra(step) for _ in range(_STEPS))))
    except _OTHER_SYSTEM:
        return None


def release() -> None:
    """Give memory that was freed back to the system, where it takes it.

    The C library keeps some of it, gigabytes after a large model, for tensors of the same sizes.
    """
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with suppress(*_OTHER_SYSTEM):
        _trim()


def _extra_on_gpu(step: Callable[[], object], device: str) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    return torch.cuda.max_memory_allocated(device) - before


def _trim() -> None:
    ctypes.CDLL(None).malloc_trim(0)


def _extra(step: Callable[[], object]) -> int:
    _trim()
    _CLEAR.write_text(_RESET_PEAK)
    before = _resident("VmRSS")
    step()
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    if match is None:
        raise OSError(f"{_STATUS} does not tell {field}")
    return int(match[1]) * 1024

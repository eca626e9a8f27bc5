"""The heap of the C library, from which torch takes the memory of tensors on a CPU."""

from __future__ import annotations

from functools import cache

import torch

HELD = 2**24
"""The bytes of a block that is given back once, see `hold_freed_memory`."""


@cache
def hold_freed_memory() -> None:
    """Let the C library hold on to the memory of stacks and lists from one step to the next.

    The library of GNU gives free memory at the end of its heap back to the system as soon as there
    is twice as much as in the largest block that was ever freed. Each page costs a fault when it is
    used again: up to a quarter of a step of SOAP with matrices of 64 rows, or of a step on lists of
    small tensors. A program that has freed a large tensor once, as most trainings have, has no such
    faults. So one is made here and freed, whose memory is never touched.
    """
    torch.UntypedStorage(HELD, device="cpu")  # which no mode sees that counts tensors

"""The codecs that kernels for a GPU have, and the maps that they look codes up in."""

from __future__ import annotations

from functools import cache
from typing import Final

import torch
from torch import Tensor

from schuss.storage.codecs.dynamic import Dynamic8, UDynamic8

MODULES: Final = {
    **dict.fromkeys(("int8", "uint8", "dynamic8", "udynamic8", "int4", "uint4"), "codecs"),
    **dict.fromkeys(("fp8_e4m3", "fp8_e5m2"), "floats"),
    **dict.fromkeys(("flash_int8", "flash_uint8"), "flash"),
}
"""Where the functions of each codec are, without `_compiled`."""

MAPS: Final = {codec.name: codec.map for codec in (Dynamic8(), UDynamic8())}
"""The numbers of codes, of codecs that look them up."""


@cache
def map_of(name: str, device: torch.device) -> Tensor:
    """Return the numbers of the codes of a codec on a device, where they stay."""
    return torch.tensor(MAPS[name], dtype=torch.float32, device=device)

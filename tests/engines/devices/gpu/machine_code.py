"""What Triton's compiler makes of printed kernels; it needs no GPU."""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from schuss.storage.codecs import CODECS
from schuss.storage.kinds import KINDS
from tests.engines.devices.gpu.stubbed import Launched

_TYPES = {
    "table": "*i64",
    "addresses": "*i64",
    "upload": "*i64",
    "skip": "*fp32",
    "partials": "*fp64",
    "totals": "*fp64",
    "owners": "*i64",
    "begins": "*i64",
    "shapes": "*i64",
    "numbers": "*fp64",
    "places": "*i64",
}
"""The types of the arguments of kernels; all others are int32."""

_WIDE = re.compile(r"\b(ld|st)\.global\.v(?:4\.[bfu]32|2\.[bfu]64)\b")
"""A load or a store of 128 bits, in the assembly language of NVIDIA."""

_BLOCK_OF = re.compile(r" (load|store)\(p.*\btl\.(\w+)(?:, REAL)?, EVEN\)\n")
"""A load or a store of a block, in the text of a kernel."""


_OF_A_BYTE = re.compile(r"\b(ld|st)\.global\.b8\b")

_CODING_OF = re.compile(r" (decode|encode)_(\w+)\(")
"""The decoding or the encoding of a block."""


class MachineCode(NamedTuple):
    """A compiled function.

    Attributes:
        registers: How many each thread has.
        spilled: Bytes of each thread that did not fit into registers.
        loads: How many loads of 128 bits it has.
        stores: How many stores of 128 bits.
        bytes: How many loads and stores of a single byte.
    """

    registers: int
    spilled: int
    loads: int
    stores: int
    bytes: tuple[int, int]


def compiled(launched: Launched, arch: int) -> MachineCode:
    """Compile a function as it was launched.

    Args:
        launched: The function.
        arch: The generation of GPUs: 90 is Hopper.
    """
    _, _, function, constants, warps = launched
    names = function.arg_names
    signature = {n: "constexpr" if n in constants else _TYPES.get(n, "i32") for n in names}
    # As `run` finds them: torch's memory begins at multiples of 16.
    aligned = {
        (at,): [["tt.divisibility", 16]] for at, n in enumerate(names) if "*" in signature[n]
    }
    known = {(names.index(name),): value for name, value in constants.items()}
    source = ASTSource(fn=function, signature=signature, constexprs=known, attrs=aligned)
    target = GPUTarget("cuda", arch, 32)
    made = triton.compile(source, target=target, options={"num_warps": warps})
    wide, single = (each.findall(made.asm["ptx"]) for each in (_WIDE, _OF_A_BYTE))
    registers, spilled = _resources(made.asm["cubin"])
    return MachineCode(registers, spilled, *_counted(wide), _counted(single))


def wide_expected(launched: Launched) -> tuple[int, int]:
    """Return how many loads and stores of 128 bits each thread needs for a block of elements."""
    sizes = [launched.constants.get(name, 1) for name in ("BLOCK", "MATRICES", "LINES", "COLUMNS")]
    count = {"load": 0, "store": 0}
    for action, kind in _BLOCK_OF.findall(_body(launched)):
        numbers = math.prod(sizes) // (32 * launched.warps)
        count[action] += numbers * KINDS[kind].bytes // 16
    return count["load"], count["store"]


def bytes_expected(launched: Launched) -> tuple[int, int]:
    """Return how many codes each thread loads and stores alone: where memory begins anywhere."""
    numbers = launched.constants["BLOCK"] // (32 * launched.warps)
    count = {"decode": 0, "encode": 0}
    for action, name in _CODING_OF.findall(_body(launched)):
        count[action] += numbers // CODECS[name].per_byte
    return count["decode"], count["encode"]


def _body(launched: Launched) -> str:
    """Return the text of what goes through the elements."""
    start = rf"^def {launched.name}_(?:blocks|tile)\("
    found = re.findall(rf"{start}.*?(?=^@)", launched.text, re.MULTILINE | re.DOTALL)
    return "".join(found)


def _counted(found: Sequence[str]) -> tuple[int, int]:
    """Return how many loads and how many stores there are."""
    return found.count("ld"), found.count("st")


def _resources(binary: bytes) -> tuple[int, int]:
    """Return the registers and the spilled bytes of a binary."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        command = [tool, "--dump-resource-usage", file.name]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (found,) = re.findall(r"REG:(\d+) STACK:(\d+) .*LOCAL:(\d+)", told)
    registers, stack, local = map(int, found)
    return registers, stack + local

"""Machine code: what this processor needs, and how it gets into memory.

Only LLVM is needed to load what has been compiled before. The compiler, Numba, is imported when
there is something to compile.
"""

from __future__ import annotations

import gc
import hashlib
import linecache
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import llvmlite.binding as llvm

from schuss.engines.errors import UnfusableError
from schuss.storage import halves, kinds, ranks
from schuss.storage.codecs import codec, dynamic, flash, floats, four_bit


class Code(NamedTuple):
    """A compiled function.

    Attributes:
        symbol: Its name in the object file.
        object: The object file.
    """

    symbol: str
    object: bytes


_PRESENT = frozenset(
    name + suffix
    for name in ("atan2", "cos", "exp", "log", "pow", "sqrt", "tanh")
    for suffix in ("", "f")
)
"""Functions of the C library, which is in every process."""

_OUTER = re.compile(r'^(?:declare [^@]*@"?([^"(]+)|@"?([^"\s]+)"? = external )', re.MULTILINE)
"""In LLVM's language, the name of a function or a variable that is defined elsewhere."""

_OPTIONS = ("OPT", "CPU_NAME", "CPU_FEATURES", "LOOP_VECTORIZE", "SLP_VECTORIZE")
"""Variables of the environment, after `NUMBA_`, that change the code that Numba makes."""


IMPORTED = (
    *(Path(str(module.__file__)) for module in (codec, dynamic, flash, floats, four_bit)),
    *(Path(str(module.__file__)) for module in (halves, kinds, ranks)),
    *(
        Path(__file__).with_name(f"{name}.py")
        for name in (
            "codecs",
            "coding",
            "decades",
            "flash",
            "float8",
            "four_bits",
            "functions",
            "halves",
            "machine",
            "numbers",
            "permutes",
            "vectors",
            "words",
        )
    ),
)
"""The files of the modules that kernels import or are compiled by."""


@cache
def target() -> str:
    """Return what machine code depends on beside its source.

    These are the processor, the versions and options of the compilers, and the modules that kernels
    import or are compiled by.
    """
    features = llvm.get_host_cpu_features().flatten()
    versions = (f"{package} {version(package)}" for package in ("numba", "llvmlite"))
    imported = (hashlib.sha256(path.read_bytes()).hexdigest() for path in IMPORTED)
    options = (os.environ.get(f"NUMBA_{name}", "") for name in _OPTIONS)
    processor = llvm.get_process_triple(), llvm.get_host_cpu_name(), features
    return "\n".join([*processor, *versions, *options, *imported])


def _machine() -> llvm.TargetMachine:
    """Return a compiler of machine code for this processor; an engine takes its own."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.Target.from_triple(llvm.get_process_triple())
    return triple.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
        codemodel="jitdefault",
    )


def compiled(text: str, filename: str, names: Sequence[str]) -> dict[str, Code]:
    """Compile functions of a module.

    Args:
        text: The source of the module.
        filename: Its name in messages.
        names: The functions.
    """
    lines = text.splitlines(keepends=True)
    linecache.cache[filename] = len(text), None, lines, filename  # where tracebacks look it up
    module: dict[str, Any] = {"__name__": "schuss_kernel"}
    try:
        with _uncollected():
            _executed(compile(text, filename, "exec"), module)
    except Exception as error:  # whatever the compiler raises
        raise UnfusableError(f"the compiler refuses the kernel {filename}: {error}") from error
    return {name: _code(module[name]) for name in names}


def _executed(code: CodeType, module: dict[str, Any]) -> None:
    """Execute a module, with room for the frames of the calls within.

    Python keeps frames in chunks of 16 KiB, and returns a chunk to the system when its last frame
    is done. Where a function that the compiler often calls happens to be the first in a chunk,
    memory comes and goes with each call, for a third of the time of a compile. A frame that is said
    to need much gets a large chunk, and those of the compiler follow in it.
    """
    exec(code, module)


_executed.__code__ = _executed.__code__.replace(co_stacksize=70_000)  # in words: a chunk of 1 MiB


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile, which would take a sixth of a compile: so much Numba makes."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _code(function: Any) -> Code:
    """Return what Numba has compiled, as it would keep it in a cache of its own."""
    missing = {"".join(found) for found in _OUTER.findall(function.inspect_llvm())} - _PRESENT
    missing = {name for name in missing if not name.startswith("llvm.")}
    if missing:  # it would be called at address 0
        raise UnfusableError(f"the kernel needs {', '.join(sorted(missing))}, which is not there")
    return Code(function.native_name, function._library._get_compiled_object())


_engines: list[Any] = []  # the code lives as long as its engine


def loaded(codes: Sequence[Code]) -> list[int]:
    """Bring functions into memory, and return their addresses."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    for code in codes:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code.object))
    engine.finalize_object()
    _engines.append(engine)
    return [int(engine.get_function_address(code.symbol)) for code in codes]

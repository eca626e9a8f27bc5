"""Machine code: what this processor needs, and how it gets into memory.

Only LLVM is needed to load what has been compiled before. The compiler, Numba, is imported when
there is something to compile.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding as llvm

from schuss.engines.tracing.errors import UnfusableError


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


@cache
def target() -> str:
    """Return what machine code depends on beside its source.

    That is the processor, the versions of the compilers, and the modules that kernels import.
    """
    features = llvm.get_host_cpu_features().flatten()
    versions = (f"{package} {version(package)}" for package in ("numba", "llvmlite"))
    imported = (
        hashlib.sha256(Path(__file__).with_name(name).read_bytes()).hexdigest()
        for name in ("functions.py", "numbers.py")
    )
    return "\n".join(
        [llvm.get_process_triple(), llvm.get_host_cpu_name(), features, *versions, *imported]
    )


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


def compiled(path: Path, names: Sequence[str]) -> dict[str, Code]:
    """Compile functions of a module.

    Args:
        path: Its source.
        names: The functions.
    """
    spec = importlib.util.spec_from_file_location(f"schuss_kernel_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"cannot load the kernel {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where tracebacks and debuggers look it up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the compiler raises
        raise UnfusableError(f"the compiler refuses the kernel {path}: {error}") from error
    return {name: _code(getattr(module, name)) for name in names}


def _code(function: Any) -> Code:
    unit = llvm.parse_assembly(function.inspect_llvm())
    missing = {f.name for f in unit.functions if f.is_declaration} - _PRESENT
    missing = {name for name in missing if not name.startswith("llvm.")}
    if missing:  # it would be called at address 0
        raise UnfusableError(f"the kernel needs {', '.join(sorted(missing))}, which is not there")
    return Code(function.native_name, _machine().emit_object(unit))


_engines: list[Any] = []  # the code lives as long as its engine


def loaded(code: Code) -> int:
    """Bring a function into memory, and return its address."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.object))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(code.symbol))

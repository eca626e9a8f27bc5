"""Machine code: what is compiled, and what is refused."""

from __future__ import annotations

import gc
import linecache
import sys
import traceback
from contextlib import suppress

import pytest

from schuss.engines.devices.cpu import machine
from schuss.engines.errors import UnfusableError

MODULE = """
import math
import numba
from schuss.engines.devices.cpu.numbers import load_float64, store_float64

@numba.cfunc("void(int64)", error_model="numpy")
def changed(job):
    store_float64(job, 0, math.FUNCTION(load_float64(job, 0)))
"""


@pytest.mark.parametrize("function", ["exp", "atan2"])
def test_functions_of_c_are_there(function):
    text = MODULE.replace("math.FUNCTION(", f"math.{function}(" + "1.0, " * (function == "atan2"))
    assert machine.loaded([machine.compiled(text, "<test>", ["changed"])["changed"]])[0]


def test_a_function_that_would_not_be_there_without_the_compiler_is_refused():
    with pytest.raises(UnfusableError, match="the kernel needs lgamma, which is not there"):
        machine.compiled(MODULE.replace("FUNCTION", "lgamma"), "<test>", ["changed"])


def test_a_module_that_the_compiler_refuses_is_told_with_its_line():
    text = MODULE.replace("FUNCTION", "nothing")
    with pytest.raises(
        UnfusableError, match=r"the compiler refuses the kernel <refused>: "
    ) as told:
        machine.compiled(text, "<refused>", ["changed"])
    assert linecache.getline("<refused>", 3) == "import numba\n"
    frames = traceback.extract_tb(told.value.__cause__.__traceback__)
    assert any((f.filename, str(f.line)[:12]) == ("<refused>", "@numba.cfunc") for f in frames)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("function", ["exp", "nothing"])
def test_garbage_is_collected_after_a_compile_as_before(enabled, function):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with suppress(UnfusableError):
            machine.compiled(MODULE.replace("FUNCTION", function), "<test>", ["changed"])
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


CALLS = """
def last(number):
    return number

def down(depth):
    if depth:
        return down(depth - 1)
    for number in range(1000):
        last(number)

for depth in range(250):
    down(depth)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell how many pages")
def test_no_memory_comes_and_goes_with_a_call_however_deep_it_is():
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    machine._executed(compile(CALLS, "<calls>", "exec"), {})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 500

"""Functions of Triton are compiled before a step writes anything, and then launched directly."""

from __future__ import annotations

import re

import pytest

from schuss.engines.devices.gpu.calls import Calls
from schuss.engines.errors import UnfusableError


def test_a_step_is_one_launch_for_each_pass_and_join(compiler):
    assert compiler("driver", "launches", "adamw") == [[3]] * 4
    assert compiler("driver", "launches", "lamb") == [[3] * 4] * 4  # a pass, two joins, a pass


def test_a_direct_launch_has_the_arguments_of_triton_s_own(compiler):
    first, later = compiler("driver", "arguments", "adamw")
    assert first == later
    assert first[-2:] == ["int", "bool"]  # BLOCK and SEVERAL, which are compiled in


@pytest.mark.parametrize("option", ["plain", "late", "scaled", "capturable"])
def test_every_launch_is_direct(option, compiler):
    assert compiler("driver", "launched_by_triton", option) == 0


def test_without_a_c_compiler_the_foreach_engine_takes_the_step(compiler):
    assert compiler("driver", "engine_without_compiler") == "foreach"


def test_versions_rise_with_each_step(compiler):
    assert compiler("driver", "versions", "adamw") == (4, 4)


def test_an_explanation_has_the_registers_of_compiled_functions(compiler):
    told = compiler("driver", "explained", "lamb")
    assert re.findall(r"  (\w+) takes (\d+) registers", told) == [
        ("pass_0", "32"),
        ("pass_1", "32"),
    ]


def test_an_explanation_has_the_program_of_the_numbers_that_a_gpu_computes(compiler):
    told = compiler("driver", "explained", "sgd", "capturable")
    assert "because capturable=True asks for kernels" in told
    assert "numbers, before the program" not in told  # which has none that change
    told = compiler("driver", "explained", "adamw", "capturable")
    _, numbers, program, *_ = re.split(r"\n\n(?=numbers|program|kernel)", told)
    assert numbers.startswith(
        "numbers, before the program\n  v0 = state.step\n  v1 = add(v0, a0)\n"
    )
    assert "  state.step <- v1" in numbers
    ends = re.findall(r"argument (\d+) <-", numbers)
    assert set(re.findall(r"\ba(\d+)", program)) == set(ends)


LIMITS = {148: 60, 2000: 150}
"""Microseconds that a step may take of the host, where a machine has nothing else to do."""

BUSY = 4
"""How much longer it may take here: a step that is quadratic in tensors takes far longer."""


@pytest.mark.parametrize("tensors", LIMITS)
def test_a_step_takes_little_time_of_the_host(tensors, compiler):
    assert compiler("driver", "host_time", tensors, 20) <= BUSY * LIMITS[tensors]


class Function:
    """A function of Triton, by the way in which it is called."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def __getitem__(self, grid):
        return lambda *args, **given: self.calls.append((grid, args, given))


def test_what_cannot_be_launched_directly_is_launched_by_triton():
    function, call = Function(), Calls()

    class Made:
        def __getitem__(self, grid):
            raise TypeError("a launcher of another version")

    call._made[id(function), 64] = Made()
    for _ in range(2):
        call(function, (3,), ("a", "b"), warps=4, BLOCK=64)
    assert function.calls == [((3,), ("a", "b"), {"BLOCK": 64, "num_warps": 4})] * 2


def test_what_triton_raises_is_told():
    call = Calls()
    message = "Triton cannot compile the kernel: no gcc"
    with pytest.raises(UnfusableError, match=message), call.compiling():
        raise FileNotFoundError("no gcc")

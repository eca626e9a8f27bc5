"""What a kernel is told before it runs: whose turn it is, which numbers, how many threads."""

from __future__ import annotations

import ctypes
import itertools

import numpy as np
import pytest
import torch

from schuss.engines.devices.cpu.launch import SHARES, Launch
from schuss.engines.devices.cpu.printing.text import JOB
from schuss.engines.devices.device import Tensors
from schuss.engines.devices.tables import tiles as tiling
from schuss.engines.devices.tables.chunks import CHUNK
from schuss.engines.kernels.kernel import kernel
from schuss.engines.program.program import COUNT, GRAD, PARAM, Place, program
from schuss.storage.kinds import Kinds
from tests.engines.kernels.interpreted import Interpreted

INPUTS = (Place(GRAD), Place(PARAM), COUNT)
KINDS = Kinds("float64", ((GRAD, "float64"), (PARAM, "float64")), "float64")
ADD = program(INPUTS, (("add_scaled", 1, 0, ~0), ("mul", 3, ~1)), ((PARAM, 4),))
ROOTS = program(
    INPUTS,
    (("row_sum", 0), ("column_sum", 0), ("sqrt", 3), ("mul", 0, 5), ("mul", 6, 4)),
    ((PARAM, 7),),
)


class Device(Interpreted):
    """A device that has many threads."""

    def threads(self) -> int:
        return 4


def launched(counts, made=ADD, sizes=()) -> Launch:
    device = Device()
    tensors = Tensors(torch.device("cpu"), counts, sizes)
    return device.launch(kernel(made, KINDS, device), tensors)


def job(launch: Launch) -> dict[str, int]:
    words = (ctypes.c_int64 * len(JOB)).from_address(launch.address)
    return dict(zip(JOB, words, strict=True))


def arguments(launch: Launch, index: int, count: int) -> list[float]:
    return list((ctypes.c_double * count).from_address(int(launch.addresses[-1, index])))


GRADS = np.array([80, 160, 240, 320])


def test_all_have_their_turn_with_the_same_numbers():
    launch = launched([3, 1, 2, 5])
    launch.prepare(GRADS, None, [0.5, 2.0], None)
    assert launch.addresses[0].tolist() == GRADS.tolist()
    assert [arguments(launch, index, 2) for index in range(4)] == [[0.5, 2.0]] * 4


def test_who_has_no_turn_has_no_gradient():
    launch = launched([3, 1, 2, 5])
    launch.prepare(GRADS, None, [0.5, 2.0], None)
    launch.prepare(GRADS, np.array([1, 3]), [0.25, 4.0], None)
    assert launch.addresses[0].tolist() == [0, 160, 0, 320]
    assert [arguments(launch, index, 2) for index in (1, 3)] == [[0.25, 4.0]] * 2


@pytest.mark.parametrize("indices", [None, np.array([0, 1, 3])])
def test_each_has_the_numbers_of_its_set(indices):
    launch = launched([3, 1, 2, 5])
    which = np.array([1, 0, 1]) if indices is not None else np.array([1, 0, 2, 1])
    sets = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    launch.prepare(GRADS, indices, sets, which)
    found = [arguments(launch, index, 2) for index in (range(4) if indices is None else indices)]
    assert found == sets[which].tolist()
    # The next step may have one set again.
    launch.prepare(GRADS, None, [7.0, 8.0], None)
    assert [arguments(launch, index, 2) for index in range(4)] == [[7.0, 8.0]] * 4


def test_numbers_stay_where_they_are_as_long_as_there_are_as_many():
    launch = launched([3])
    launch.prepare(GRADS[:1], None, [0.5, 2.0], None)
    before = launch.addresses[-1].tolist()
    launch.prepare(GRADS[:1], None, [0.25, 1.0], None)
    assert launch.addresses[-1].tolist() == before
    assert arguments(launch, 0, 2) == [0.25, 1.0]


@pytest.mark.parametrize("counts", [[], [0, 0], [5], [2**14, 2**14]])
def test_little_is_done_by_one_thread_at_once(counts):
    launch = launched(counts)
    launch.prepare(GRADS[: len(counts)], None, [0.5, 2.0], None)
    entries = len(launch.table.entries)
    assert launch.threads == 1
    assert (job(launch)["entries"], job(launch)["grain"]) == (entries, max(entries, 1))


@pytest.mark.parametrize("chunks", [3, 4, 5, 100, 1000])
def test_threads_come_several_times_for_their_share_of_much(chunks):
    launch = launched([chunks * CHUNK])
    launch.prepare(GRADS[:1], None, [0.5, 2.0], None)
    assert launch.threads == min(4, chunks)
    grain = job(launch)["grain"]
    # Each comes at most 8 times, and 8 times if there is enough.
    assert grain * launch.threads * SHARES >= chunks > (grain - 1) * launch.threads * SHARES


def test_the_number_of_threads_may_change_from_step_to_step():
    available = iter((2, 1, 3))
    made = kernel(ADD, KINDS, Device())
    tensors = Tensors(torch.device("cpu"), [100 * CHUNK])
    launch = Launch(made, tensors, lambda: next(available))
    found = []
    for _ in range(3):
        launch.prepare(GRADS[:1], None, [0.5, 2.0], None)
        found.append((launch.threads, job(launch)["grain"]))
    assert found == [(2, 7), (1, 100), (3, 5)]  # 100 / 16, all, 100 / 24


def test_a_job_tells_where_everything_lies():
    launch = launched([3, CHUNK + 1])
    words = job(launch)
    assert words["next_entry"] == 0
    assert words["entries"] == 3
    assert words["tensors"] == 2
    assert words["table"] == launch.table.entries.ctypes.data
    assert words["addresses"] == launch.addresses.ctypes.data
    assert words["partials"] == launch.partials.ctypes.data
    assert words["totals"] == launch.totals.ctypes.data


def test_what_a_kernel_keeps_for_itself_is_no_one_else_s():
    sizes = [(2, 3, 5), (1, 40, 7)]
    launch = launched([30, 280], ROOTS, sizes)
    source = launch.kernel.source
    assert len(source.slots) >= 2
    stretches = []
    for slot, about in enumerate(source.slots):
        of_each = tiling.numbers(launch._shapes, about.form, partials=about.partials)
        begins = launch.addresses[len(source.columns) + slot]
        ends = begins + 8 * of_each
        stretches += list(zip(begins.tolist(), ends.tolist(), strict=True))
    assert all(begin < end for begin, end in stretches)
    in_order = sorted(stretches)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(in_order))

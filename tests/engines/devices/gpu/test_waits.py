"""A step on a GPU reads nothing that the GPU computes, so that the host never waits for it."""

from __future__ import annotations

import pytest

NAMES = (
    "AdamW",
    "LAMB",
    "StableAdamW",
    "a tensor lr",
    "clip and average",
    "clip with several sets",
    "Muon",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_reads_no_number_from_the_device(name, interpreter):
    interpreter("waits", "reads_nothing", name)


@pytest.mark.parametrize("option", ["not finite", "scaled", "both"])
def test_the_device_leaves_out_a_step_and_the_host_counts_it_later(option, interpreter):
    interpreter("waits", "leaves_out", option)


def test_groups_on_a_cpu_and_on_a_gpu_take_one_step(interpreter):
    interpreter("waits", "steps_on_both")

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
)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_reads_no_number_from_the_device(name, interpreter):
    interpreter("waits", "reads_nothing", name)

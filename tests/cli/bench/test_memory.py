"""What a step takes for a while."""

import sys
from pathlib import Path

import pytest
import torch

from schuss.cli.bench import memory
from schuss.cli.bench.memory import extra_memory

MIB = 1 << 20

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")


@linux
@pytest.mark.parametrize("mebibytes", [4, 16])
def test_a_temporary_is_seen_in_full_also_if_its_memory_was_used_before(mebibytes: int) -> None:
    def step() -> None:
        torch.ones(mebibytes * MIB // 4).add_(1)

    step()
    extra = extra_memory(step)
    assert extra is not None
    # The system counts pages for each processor apart, with an uncertainty for each.
    assert abs(extra - mebibytes * MIB) < MIB


@linux
def test_a_step_in_place_takes_nothing() -> None:
    numbers = torch.ones(4 * MIB)
    extra = extra_memory(lambda: numbers.add_(1))
    assert extra is not None
    assert extra < MIB


def test_where_the_system_does_not_tell_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "missing" / "clear_refs")
    assert extra_memory(lambda: None) is None

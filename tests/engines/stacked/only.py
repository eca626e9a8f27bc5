"""The stacked engine alone, where a faster one would run the rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from schuss.engines import planning
from schuss.engines.stacked import stacks
from schuss.engines.stacked.step import StackedStep


@contextmanager
def only_stacks(fewest: int = stacks.FEWEST) -> Iterator[None]:
    """Step all parameters in stacks, however few they are, and raise if that cannot be."""

    def left_to_the_loop(*about: object) -> None:
        raise AssertionError("a stack was left to the loop")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "wanted", lambda group: ("stacked",))
        patch.setattr(stacks, "FEWEST", fewest)
        patch.setattr(StackedStep, "_on_the_loop", left_to_the_loop)
        yield

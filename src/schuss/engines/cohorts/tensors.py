"""The tensors whose memory a cohort reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from schuss.engines.program.program import COUNT, GRAD
from schuss.storage.codecs import parts_of

if TYPE_CHECKING:
    from schuss.engines.cohorts.cohort import Cohort


def own_tensors(cohort: Cohort) -> list[Tensor]:
    """Return the parameters of a cohort and the tensors of their states.

    Of an encoded tensor, these are its codes and its scales.
    """
    places = [place for place in cohort.inputs if place.name not in (GRAD, COUNT.name)]
    found = [part for place in places for each in cohort.tensors(place) for part in parts_of(each)]
    return found + [state[key] for state in cohort.states for key in cohort.whole]

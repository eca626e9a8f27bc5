"""What holds for every elementwise rule."""

from __future__ import annotations

import pytest

import schuss
from tests.algorithms import TRACED
from tests.conformance.trajectories import ON_THE_HOST
from tests.optimizers.paths import GRADS, START, ends

pytestmark = pytest.mark.usefixtures("without_compiler")

# What these do to a coordinate depends on all.
REDUCING = ON_THE_HOST | {
    *("adafactor", "adammini", "came", "lamb", "lars", "ldog", "mars", "novograd", "stableadamw"),
}


@pytest.mark.parametrize("name", TRACED)
def test_permuting_the_coordinates_permutes_the_path(name):
    cls = schuss.list_optimizers(name)[0].cls
    straight = ends(cls, GRADS, START, weight_decay=0.1)
    turned = ends(cls, [g[::-1] for g in GRADS], START[::-1], weight_decay=0.1)
    # Sums of three numbers depend on their order.
    assert turned == (pytest.approx(straight[::-1]) if name in REDUCING else straight[::-1])


@pytest.mark.parametrize("name", [name for name in TRACED if name not in REDUCING])
def test_a_coordinate_does_not_see_the_others(name):
    cls = schuss.list_optimizers(name)[0].cls
    alone = ends(cls, [g[:1] for g in GRADS], START[:1], weight_decay=0.1)
    assert alone == ends(cls, GRADS, START, weight_decay=0.1)[:1]


# Rprop's steps follow the learning rate only at first, and have a least length.
@pytest.mark.parametrize("name", [name for name in TRACED if name != "rprop"])
def test_a_learning_rate_of_zero_stands_still(name):
    cls = schuss.list_optimizers(name)[0].cls
    assert ends(cls, GRADS, START, lr=0.0, weight_decay=0.1) == START

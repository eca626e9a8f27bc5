from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import Signum, Tiger
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # m = 1, then 0.5 * 1 - 0.5 * 1.5 = -0.25
    path = walk(Tiger, [[2.0], [-1.5]], lr=0.25, beta=0.5, weight_decay=0.0)
    assert path == [[-0.25], [0.0]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(Tiger, scaled, START) == ends(Tiger, GRADS, START)


def test_it_is_signum_with_other_defaults():
    expected = ends(Signum, GRADS, START, lr=1e-3, momentum=0.965, weight_decay=0.01)
    assert ends(Tiger, GRADS, START) == expected


def test_a_group_that_uses_the_name_of_the_argument_is_told_the_right_one():
    with pytest.raises(ValueError, match="has 'beta'; it is called 'momentum' there"):
        Tiger([{"params": [nn.Parameter(torch.ones(1))], "beta": 0.5}])

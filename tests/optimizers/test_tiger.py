from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import Signum, Tiger
from tests.optimizers.matrices import double, moved
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


ADAPTED = {"lr": 0.5, "weight_decay": 0.25, "layer_adaptive": True}


@pytest.mark.parametrize("engine", [{"foreach": False}, {"foreach": True}, {"fused": True}])
def test_matrices_move_in_proportion_to_their_size_and_vectors_by_half(engine):
    # RMS((1, 7), (1, 7)) = 5, so the rate is 2.5: 1 - 2.5 (1 + 0.25), 7 - 2.5 (1 + 1.75).
    start = double([[1.0, 7.0], [1.0, 7.0]])
    found = moved(Tiger, [torch.ones_like(start)], start, **ADAPTED, **engine)
    torch.testing.assert_close(found, double([[-3.125, -6.875], [-3.125, -6.875]]))
    assert ends(Tiger, [[3.0, -1.0]], [1.0, 7.0], **ADAPTED, **engine) == [0.75, 7.25]


def test_a_complex_vector_is_a_vector():
    start = torch.tensor([1 + 2j, 3 - 1j])
    found = moved(Tiger, [torch.tensor([1 + 1j, 1 - 1j])], start, **ADAPTED)
    torch.testing.assert_close(found, torch.tensor([-0.25 - 0.25j, -0.25 + 0.25j]))


def test_a_schedule_and_a_tensor_are_followed():
    start, grad = double([[3.0, 4.0]]), [double([[1.0, 1.0]])]
    of_number = moved(Tiger, grad, start, **ADAPTED)
    of_tensor = moved(Tiger, grad, start, **{**ADAPTED, "lr": torch.tensor(0.5)})
    torch.testing.assert_close(of_tensor, of_number)

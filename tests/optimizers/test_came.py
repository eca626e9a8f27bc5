from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import CAME
from tests.optimizers.matrices import double, moved
from tests.optimizers.paths import GRADS, walk

RATES = {"lr": 0.25, "betas": (0.5, 0.5, 0.75), "eps": (0.0, 0.0)}
MATRIX = torch.linspace(-1, 2, 12, dtype=torch.float64).view(3, 4).sin()


def test_two_steps_of_a_vector_worked_by_hand():
    # V = 2, then 1 + 8: 2 / sqrt(2) and 4 / 3, clipped to 1; so m = 1/2, then 3/4.
    path = walk(CAME, [[2.0], [4.0]], **RATES)
    assert path == [[pytest.approx(-0.125)], [pytest.approx(-0.125 - 0.1875)]]


def test_two_steps_of_a_matrix_worked_by_hand():
    # Squares of one size: V = 1/2, u = sqrt(2), clipped to 1; m = 1/2; S = 1/16: m / sqrt(S).
    # Then V = 3/4, u = 2 / sqrt(3), clipped to 1; m = 3/4; S = 3/64 + 1/64.
    sign = double([[1.0, -1.0], [-1.0, -1.0]])
    first = moved(CAME, [sign], **RATES)
    torch.testing.assert_close(first, -0.25 * 2.0 * sign)
    both = moved(CAME, [sign, sign], **RATES)
    torch.testing.assert_close(both - first, -0.25 * 3.0 * sign)


def test_rows_and_columns_may_change_places():
    grads = [MATRIX, MATRIX.flip(0), MATRIX.square()]
    turned = moved(CAME, [grad.t() for grad in grads], MATRIX.t(), lr=0.1)
    torch.testing.assert_close(turned.t(), moved(CAME, grads, MATRIX, lr=0.1))


def test_a_stray_row_moves_less_than_a_steady_one():
    steady, stray = torch.ones(2, 3).double(), double([[1.0] * 3, [-1.0] * 3])
    found = moved(CAME, [steady, stray] * 20 + [steady], lr=1.0, betas=(0.9, 0.9, 0.9)).abs()
    assert (found[0] > 3 * found[1]).all()


def test_a_threshold_that_nothing_reaches_clips_nothing():
    # V = 1/2 * 49: 7 / sqrt(24.5) = sqrt(2)
    (found,) = walk(CAME, [[7.0]], clip_threshold=9.0, **RATES)
    assert found == [pytest.approx(-0.25 * 0.5 * 2**0.5)]


def test_the_stabilizers_are_added_to_squares():
    # V = (9 + 27) / 2, u = 1 / sqrt(2), m = u / 2; S = (1/8 + 15/8) / 4 = 1/2, m / sqrt(S) = 1/2
    grad = torch.full((2, 2), 3.0, dtype=torch.float64)
    found = moved(CAME, [grad], **{**RATES, "eps": (27.0, 1.875)})
    torch.testing.assert_close(found, torch.full_like(grad, -0.25 * 0.5))


def test_a_learning_rate_of_zero_moves_nothing():
    grads = [torch.tensor(grad).view(3, 1) for grad in GRADS]
    assert not moved(CAME, grads, torch.ones(3, 1), lr=0.0, weight_decay=0.5).any()


def test_a_matrix_keeps_rows_and_columns():
    param = nn.Parameter(torch.ones(5, 3))
    param.grad = torch.ones_like(param)
    optimizer = CAME([param])
    optimizer.step()
    shapes = {key: tuple(value.shape) for key, value in optimizer.state[param].items()}
    rows, columns = (5, 1), (1, 3)
    assert shapes == {
        "exp_avg": (5, 3),
        "exp_avg_sq_row": rows,
        "exp_avg_sq_col": columns,
        "exp_avg_res_row": rows,
        "exp_avg_res_col": columns,
    }

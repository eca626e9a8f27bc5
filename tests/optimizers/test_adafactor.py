from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from schuss import Adafactor, WeightDecay
from tests.conformance.trajectories import Training, distance, trajectory
from tests.optimizers.matrices import moved as moved_by
from tests.optimizers.paths import GRADS, START, ends, walk

pytestmark = pytest.mark.usefixtures("without_compiler")

CONSTANT = {"lr": 0.25, "relative_step": False, "scale_parameter": False}
MATRIX = torch.linspace(-1, 2, 12, dtype=torch.float64).view(3, 4).sin()


moved = partial(moved_by, Adafactor)


def test_two_steps_of_a_vector_worked_by_hand():
    # V = 4: 2 / 2; then a half of each square: V = (4 + 1) / 2
    path = walk(Adafactor, [[2.0], [1.0]], beta2_decay=-1.0, **CONSTANT)
    assert path == [[-0.25], [pytest.approx(-0.25 - 0.25 / 2.5**0.5)]]


def test_two_steps_of_a_matrix_worked_by_hand():
    # Squares 1, 0 / 4, 4 with rows 1/2, 4 and columns 5/2, 2, all of mean 9/4.
    # Then their means with 1: rows 3/4, 5/2 and columns 7/4, 3/2, all of mean 13/8.
    first, second = torch.tensor([[1.0, 0.0], [2.0, -2.0]]), torch.ones(2, 2)
    found = moved([first], **CONSTANT, d=2.0)
    v = torch.tensor([[0.5 * 2.5, 0.5 * 2], [4 * 2.5, 4 * 2]]) / 2.25
    torch.testing.assert_close(found, -0.25 * first / v.sqrt())
    v = torch.tensor([[0.75 * 1.75, 0.75 * 1.5], [2.5 * 1.75, 2.5 * 1.5]]) / 1.625
    both = moved([first, second], **CONSTANT, d=2.0, beta2_decay=-1.0)
    torch.testing.assert_close(both, found - 0.25 / v.sqrt())


def test_squares_of_rank_one_are_known_exactly():
    grad = torch.outer(torch.tensor([1.0, -3.0, 0.5]), torch.tensor([2.0, 0.25]))
    torch.testing.assert_close(moved([grad], **CONSTANT), -0.25 * grad.sign())


def test_an_update_is_clipped():
    # V = (1 + 49) / 2: 7 / 5, or 1
    path = walk(Adafactor, [[1.0], [7.0]], beta2_decay=-1.0, d=2.0, **CONSTANT)
    assert path[1] == [pytest.approx(-0.25 - 0.25 * 1.4)]
    path = walk(Adafactor, [[1.0], [7.0]], beta2_decay=-1.0, **CONSTANT)
    assert path[1] == [pytest.approx(-0.5)]


def test_a_relative_step_is_at_most_one_over_the_root_of_the_step():
    # 1/2 until the fourth step, then 1 / sqrt(9)
    path = walk(Adafactor, [[1.0]] * 9, lr=0.5, scale_parameter=False)
    assert path[3] == [pytest.approx(-2.0)]
    assert path[8][0] - path[7][0] == pytest.approx(-1 / 3)


def test_a_step_is_in_proportion_to_the_weights_but_for_small_ones():
    # The root of the mean of 36 and 64 is sqrt(50).
    found = ends(Adafactor, [[1.0, -1.0]], [6.0, 8.0], lr=0.1)
    assert found == [pytest.approx(6 - 0.1 * 50**0.5), pytest.approx(8 + 0.1 * 50**0.5)]
    assert ends(Adafactor, [[1.0]], lr=0.5, eps=(None, 0.25)) == [-0.125]


def test_the_first_stabilizer_is_a_lower_bound_or_a_summand():
    # 0.003 / 0.1; or over the root of 0.000009 + 0.000016
    options = {**CONSTANT, "eps": (0.1, 0.0)}
    assert ends(Adafactor, [[0.003]], **options) == [pytest.approx(-0.25 * 0.03)]
    options = {**CONSTANT, "eps": (1.6e-5, 0.0), "eps_in_squares": True}
    assert ends(Adafactor, [[0.003]], **options) == [pytest.approx(-0.25 * 0.6)]


@pytest.mark.parametrize("eps_in_squares", [False, True])
def test_gradients_of_zero_do_nothing(eps_in_squares):
    grads = [torch.zeros(3, 4), torch.eye(3, 4)]
    options = {"eps_in_squares": eps_in_squares, "lr": 0.1}
    assert not moved(grads[:1], **options).any()
    found = moved(grads, **options)
    assert torch.equal(found != 0, grads[1] != 0)
    assert found.isfinite().all()


def test_the_mean_of_updates_takes_shares():
    # 0.5 * 1, then 0.25 + 0.5 * -1
    path = walk(Adafactor, [[1.0], [-1.0]], beta1=0.5, **CONSTANT)
    assert path == [[-0.125], [-0.125 + 0.0625]]


def test_the_decay_follows_the_learning_rate_or_the_update():
    # 0.25 * 0.5 * 2; or that times the size 2
    options: dict[str, Any] = {**CONSTANT, "scale_parameter": True, "weight_decay": 0.5}
    assert ends(Adafactor, [[0.0]], [2.0], **options) == [1.75]
    assert ends(Adafactor, [[0.0]], [2.0], scale_decay=True, **options) == [1.5]
    # The size is that of the weights before their decay, or of what a decay object leaves.
    assert ends(Adafactor, [[1.0]], [2.0], **options) == [1.75 - 0.25 * 2]
    options["weight_decay"] = WeightDecay(0.5)
    assert ends(Adafactor, [[1.0]], [2.0], **options) == [1.75 - 0.25 * 1.75]


def test_a_learning_rate_of_zero_moves_nothing():
    assert ends(Adafactor, GRADS, START, lr=0.0, weight_decay=0.5, beta1=0.9) == START


def test_rows_and_columns_may_change_places():
    grads = [MATRIX, MATRIX.flip(0), MATRIX.square()]
    turned = moved([grad.t() for grad in grads], MATRIX.t(), lr=0.1)
    torch.testing.assert_close(turned.t(), moved(grads, MATRIX, lr=0.1))


def test_a_batch_of_matrices_is_estimated_one_by_one():
    grads = [torch.stack([MATRIX, MATRIX.flip(0).square() + 1]), torch.ones(2, 3, 4).double()]
    options = {**CONSTANT, "d": 100.0}
    alone = [moved([grad[i] for grad in grads], **options) for i in (0, 1)]
    torch.testing.assert_close(moved(grads, **options), torch.stack(alone))


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_the_path_ignores_the_scale_of_the_gradients(shape):
    grads = [torch.tensor(grad).view(shape) for grad in GRADS]
    options = {"lr": 0.1, "eps": (0.0, 1e-3)}
    found = moved([8 * grad for grad in grads], torch.ones(shape), **options)
    assert torch.equal(found, moved(grads, torch.ones(shape), **options))


def test_a_matrix_keeps_a_row_and_a_column():
    param = nn.Parameter(torch.ones(5, 3, dtype=torch.bfloat16))
    param.grad = torch.ones_like(param)
    optimizer = Adafactor([param])
    optimizer.step()
    state = optimizer.state[param]
    kept = {k: (tuple(v.shape), v.dtype) for k, v in state.items() if k != "step"}
    assert kept == {"row_var": ((5, 1), torch.float32), "col_var": ((1, 3), torch.float32)}


@pytest.mark.parametrize("turn", [1, -1], ids=["from torch", "to torch"])
def test_a_checkpoint_of_torch_continues_here_and_ours_there(turn):
    options = {"lr": 3e-2, "weight_decay": 0.3, "foreach": False}
    first, then = (partial(cls, **options) for cls in (torch.optim.Adafactor, Adafactor)[::turn])
    expected = trajectory(partial(torch.optim.Adafactor, **options), Training(scheduled=True))
    found = trajectory(first, Training(scheduled=True, saved_after=20), then=then)
    assert distance(found, expected) <= 1e-13

from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import SM3, Adagrad
from tests.optimizers.matrices import double, moved
from tests.optimizers.paths import GRADS, START, ends, walk

pytestmark = pytest.mark.usefixtures("without_compiler")

PLAIN = {"lr": 0.5, "momentum": 0.0, "eps": 0.0}
MATRIX = torch.linspace(-1, 2, 12, dtype=torch.float64).view(3, 4).sin()


def test_two_steps_of_a_matrix_worked_by_hand():
    # Sums of squares 9, 16 / 1, 4; largest 16, 4 in rows and 9, 16 in columns.
    # The bounds are then 9, 16 / 4, 4, and 1 more.
    first, second = double([[3.0, -4.0], [1.0, 2.0]]), torch.ones(2, 2).double()
    found = moved(SM3, [first], **PLAIN)
    torch.testing.assert_close(found, -0.5 * first.sign())
    both = moved(SM3, [first, second], **PLAIN)
    torch.testing.assert_close(both - found, -0.5 / double([[10, 17], [5, 5]]).sqrt())


def test_the_momentum_is_a_mean_of_updates():
    # 1/4 of 1, then 3/4 of that and 1/4 of 1 / sqrt(2)
    path = walk(SM3, [[2.0], [2.0]], lr=1.0, momentum=0.75)
    second = 0.75 * 0.25 + 0.25 / 2**0.5
    assert path == [[pytest.approx(-0.25)], [pytest.approx(-0.25 - second)]]


def test_with_beta_squares_are_averaged():
    # 3/4 of 4, then 1/4 of that and 3/4 of 1
    path = walk(SM3, [[2.0], [1.0]], beta=0.25, **PLAIN)
    assert path[0] == [pytest.approx(-0.5 * 2 / 3**0.5)]
    assert path[1][0] - path[0][0] == pytest.approx(-0.5 / 1.5**0.5)


def test_a_vector_moves_as_adagrad_moves_it():
    expected = ends(Adagrad, GRADS, START, lr=0.1, eps=0.0)
    assert ends(SM3, GRADS, START, lr=0.1, momentum=0.0, eps=0.0) == pytest.approx(expected)


def test_no_step_is_longer_than_that_of_adagrad():
    grads = [MATRIX, MATRIX.flip(0), MATRIX.square(), MATRIX.flip(1)]
    ours, theirs = (
        torch.stack([moved(cls, grads[: n + 1], **options) for n in range(4)]).diff(dim=0).abs()
        for cls, options in ((SM3, PLAIN), (Adagrad, {"lr": 0.5, "eps": 0.0}))
    )
    assert (ours <= theirs + 1e-15).all()
    assert (ours < 0.99 * theirs).any()


def test_dimensions_may_change_places():
    grads = [MATRIX, MATRIX.flip(0), MATRIX.square()]
    turned = moved(SM3, [grad.t() for grad in grads], lr=0.1)
    torch.testing.assert_close(turned.t(), moved(SM3, grads, lr=0.1))


@pytest.mark.filterwarnings("ignore:SM3 cannot run:UserWarning")
def test_a_tensor_keeps_a_vector_for_each_dimension():
    param = nn.Parameter(torch.ones(5, 3, 2, dtype=torch.bfloat16))
    param.grad = torch.ones_like(param)
    optimizer = SM3([param], momentum=0.0)
    optimizer.step()
    kept = {k: (tuple(v.shape), v.dtype) for k, v in optimizer.state[param].items()}
    shapes = [(5, 1, 1), (1, 3, 1), (1, 1, 2)]
    assert kept == {f"accumulator_{n}": (shape, torch.float32) for n, shape in enumerate(shapes)}


@pytest.mark.parametrize("engine", ["foreach", "fused"])
@pytest.mark.parametrize("shape", [(6, 5, 1, 1), (1, 4, 1, 3), (1, 7), (7, 1), (1, 1)])
def test_dimensions_of_size_1_make_no_difference(shape, engine):
    draw = torch.Generator().manual_seed(0)
    grads = [torch.randn(shape, generator=draw, dtype=torch.float64) for _ in range(3)]
    expected = moved(SM3, grads, foreach=False)
    torch.testing.assert_close(moved(SM3, grads, **{engine: True}), expected, rtol=1e-14, atol=0)
    flat = [grad.squeeze() for grad in grads]
    assert torch.equal(moved(SM3, flat, foreach=False).view(shape), expected)


def test_gradients_of_zero_do_nothing():
    assert ends(SM3, [[0.0]], [1.0]) == [1.0]


def test_a_learning_rate_of_zero_moves_nothing():
    assert ends(SM3, GRADS, START, lr=0.0, weight_decay=0.5) == START

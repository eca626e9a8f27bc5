from __future__ import annotations

import pytest

from schuss import Adam, AdamW, AMSGrad, WeightDecay
from tests.optimizers.paths import GRADS, START, ends, walk

# betas = (0.5, 0.75), gradients 2 and 4:
#   m: 1, then 0.5 + 2 = 2.5           m_hat: 2, then 2.5 / 0.75 = 10/3
#   v: 1, then 0.75 + 4 = 4.75         v_hat: 4, then 4.75 / 0.4375 = 76/7
STEADY = {"lr": 0.5, "betas": (0.5, 0.75), "eps": 0.5}
TWO = [[2.0], [4.0]]
SECOND = (10 / 3) / ((76 / 7) ** 0.5 + 0.5)


def test_two_steps_worked_by_hand():
    # u: 2 / (2 + 0.5) = 0.8
    assert walk(Adam, TWO, **STEADY) == [[-0.4], [pytest.approx(-0.4 - 0.5 * SECOND)]]


def test_the_optimized_update_adds_the_stabilizer_before_correcting_the_bias():
    # u: 0.5 / 0.5 * 1 / (1 + 0.5) = 2/3; then sqrt(0.4375) / 0.75 * 2.5 / (sqrt(4.75) + 0.5)
    second = 0.4375**0.5 / 0.75 * 2.5 / (4.75**0.5 + 0.5)
    path = walk(Adam, TWO, **STEADY, optimized_update=True)
    assert path == [[pytest.approx(-1 / 3)], [pytest.approx(-1 / 3 - 0.5 * second)]]


def test_both_forms_agree_without_a_stabilizer():
    plain = ends(Adam, GRADS, START, eps=0.0)
    assert ends(Adam, GRADS, START, eps=0.0, optimized_update=True) == pytest.approx(
        plain, rel=1e-14
    )


def test_without_a_stabilizer_the_scale_of_the_gradient_does_not_matter():
    scaled = [[1000 * x for x in g] for g in GRADS]
    assert ends(Adam, scaled, START, eps=0.0) == pytest.approx(ends(Adam, GRADS, START, eps=0.0))


def test_the_first_step_is_as_long_as_the_learning_rate():
    path = walk(Adam, [[0.01, -300.0, 2.0]], START, lr=0.1, eps=0.0)
    assert path == [pytest.approx([0.9, -1.9, 0.4])]


def test_without_momentum_of_any_kind_it_is_a_sign_step():
    # betas = (0, 0): u = g / |g|
    assert ends(Adam, GRADS[:3], lr=1.0, betas=(0.0, 0.0), eps=0.0, start=START) == pytest.approx(
        [1.0 - 1 + 1 - 1, -2.0 + 1 - 1 - 1, 0.5 - 1 - 1 + 1]
    )


def test_a_coefficient_is_added_to_the_gradient_by_adam_and_decoupled_by_adamw():
    options = {"lr": 0.5, "betas": (0.0, 0.0), "eps": 0.0, "weight_decay": 0.25}
    # The sign of -0.125 + 0.25 * 1 is that of +0.125: down. Decoupled: 1 * (1 - 0.125) + 0.5.
    assert ends(Adam, [[-0.125]], [1.0], **options) == [0.5]
    assert ends(AdamW, [[-0.125]], [1.0], **options) == [1.375]
    assert ends(Adam, [[-0.125]], [1.0], **options, decoupled_weight_decay=True) == [1.375]


def test_adamw_refuses_a_decay_that_is_not_decoupled():
    with pytest.raises(ValueError, match="AdamW decouples its weight decay; .* use Adam"):
        walk(AdamW, TWO, weight_decay=WeightDecay(0.1, weight_decouple=False))


def test_amsgrad_never_divides_by_less_than_it_has():
    # betas = (0, 0.5), gradients 4, 0, 1: v = 8, 4, 2.5; the maximum stays 8.
    # u: 4 / sqrt(8 / 0.5) = 1; 0; 1 / sqrt(8 / 0.875)
    options = {"lr": 1.0, "betas": (0.0, 0.5), "eps": 0.0}
    path = walk(AMSGrad, [[4.0], [0.0], [1.0]], **options)
    assert path == [[-1.0], [-1.0], [pytest.approx(-1 - (0.875 / 8) ** 0.5)]]
    # Adam: 1 / sqrt(2.5 / 0.875)
    path = walk(AMSGrad, [[4.0], [0.0], [1.0]], **options, amsgrad=False)
    assert path[-1] == [pytest.approx(-1 - (0.875 / 2.5) ** 0.5)]


def test_amsgrad_is_adam_while_the_second_moment_grows():
    growing = [[1.0], [2.0], [3.0], [5.0]]
    assert ends(AMSGrad, growing) == ends(Adam, growing)

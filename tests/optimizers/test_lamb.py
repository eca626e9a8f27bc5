from __future__ import annotations

import pytest

from schuss import LAMB, AdamW, WeightDecay
from tests.optimizers.paths import GRADS, START, ends, walk

OPTIONS = {"lr": 0.5, "betas": (0.5, 0.5), "eps": 0.0}


def test_two_steps_worked_by_hand():
    # The direction of Adam is (1, 1), of norm sqrt(2); the weights have norm 5.
    # So half of 5 / sqrt(2) in each coordinate; one coordinate halves itself.
    path = walk(LAMB, [[2.0, 3.0]], [3.0, 4.0], **OPTIONS)
    assert path == [[pytest.approx(3 - 2.5 / 2**0.5), pytest.approx(4 - 2.5 / 2**0.5)]]
    assert walk(LAMB, [[2.0], [2.0]], [8.0], **OPTIONS) == [[4.0], [2.0]]


def test_the_decay_is_within_the_update():
    # The direction is (1, -1) + 1 * (3, 1) = (4, 0), as long as the weights: sqrt(10).
    path = walk(LAMB, [[2.0, -2.0]], [3.0, 1.0], weight_decay=1.0, **OPTIONS)
    assert path == [[pytest.approx(3 - 0.5 * 10**0.5), pytest.approx(1.0)]]
    # A decay object does as everywhere: (1 - 0.5) 8, and half of that.
    assert ends(LAMB, [[2.0]], [8.0], weight_decay=WeightDecay(1.0), **OPTIONS) == [2.0]


def test_weights_of_zero_move_as_adam_does():
    assert ends(LAMB, [[2.0, -3.0]], [0.0, 0.0], **OPTIONS) == [-0.5, 0.5]


def test_the_ratio_can_be_bounded():
    assert ends(LAMB, [[2.0]], [8.0], max_trust_ratio=2.0, **OPTIONS) == [7.0]


def test_scaled_weights_make_scaled_steps():
    scaled = [8.0 * x for x in START]
    found = ends(LAMB, GRADS, scaled, eps=0.0)
    assert found == pytest.approx([8 * x for x in ends(LAMB, GRADS, START, eps=0.0)])


def test_without_the_ratio_it_is_adamw():
    options = {"lr": 0.5, "eps": 1e-6, "weight_decay": 0.25}
    expected = ends(AdamW, GRADS, START, **options)
    assert ends(LAMB, GRADS, START, layer_adaptation=False, **options) == pytest.approx(expected)


def test_moments_that_are_not_corrected():
    # m = 1 and v = 2: the direction is 1 / sqrt(2), and the decay 0.5 * 1.
    options = {**OPTIONS, "bias_correction": False, "layer_adaptation": False}
    found = ends(LAMB, [[2.0]], [1.0], weight_decay=0.5, **options)
    assert found == [pytest.approx(1 - 0.5 * (0.5**0.5 + 0.5))]


def test_the_ratio_undoes_the_correction_unless_there_is_decay():
    for decay, alike in ((0.0, True), (0.5, False)):
        options = {**OPTIONS, "weight_decay": decay}
        corrected = ends(LAMB, GRADS, START, **options)
        found = ends(LAMB, GRADS, START, bias_correction=False, **options)
        assert (found == pytest.approx(corrected)) is alike

from __future__ import annotations

import pytest

from schuss import SGD, AdamC, AdamW, CorrectedDecay
from tests.optimizers.paths import GRADS, START, ends


def test_a_step_worked_by_hand():
    # The decay is 0.5^2 / 1 * 0.4 = 0.1 of 10, the step 0.5.
    found = ends(AdamC, [[2.0]], [10.0], lr=0.5, weight_decay=0.4, max_lr=1.0, eps=0.0)
    assert found == pytest.approx([10 - 1 - 0.5])


def test_a_constant_learning_rate_makes_it_adamw():
    options = {"lr": 0.1, "weight_decay": 0.3}
    assert ends(AdamC, GRADS, START, **options) == ends(AdamW, GRADS, START, **options)


def test_any_optimizer_takes_the_decay():
    decay = CorrectedDecay(0.4, max_lr=1.0)
    assert ends(SGD, [[0.0]], [10.0], lr=0.5, weight_decay=decay) == pytest.approx([9.0])
    assert repr(decay) == "CorrectedDecay(0.4, max_lr=1.0)"
    with pytest.raises(ValueError, match="max_lr must be above 0"):
        CorrectedDecay(0.1, max_lr=0.0)

from __future__ import annotations

import torch
from torch import nn

from schuss import Dion2, Muon
from schuss.matrices import Heads
from tests.optimizers.orthogonal import EXACT, after, polar, random

START = random(4, 6, seed=9)


def test_three_steps_worked_by_hand():
    # Of two rows one moves. Sums of magnitudes of 3 and 2: the first, whose direction is (1, 0);
    # it keeps half of its 3. In the second step they are 1.5 and 4: the second, (0, -1), and then,
    # of 1.5 and 2, again the second.
    grads = [torch.diag(torch.tensor(x)).double() for x in ([3.0, -2.0], [0.0, -2.0], [0.0, 0.0])]
    zero = torch.zeros(2, 2, dtype=torch.float64)
    options = {"lr": 1.0, "fraction": 0.5, "momentum": 0.5, **EXACT}
    for count, expected in ((1, [-1.0, 0.0]), (2, [-1.0, 1.0]), (3, [-1.0, 2.0])):
        found = after(Dion2, grads[:count], zero, **options)
        assert torch.allclose(found, torch.diag(torch.tensor(expected)).double())


def test_the_rows_that_move_are_the_polar_factor_of_theirs():
    grad = random(4, 6)
    step = START - after(Dion2, [grad], START, lr=1.0, fraction=0.5, **EXACT)
    moved = grad.abs().sum(1).topk(2).indices.sort().values
    assert step.count_nonzero(dim=1).nonzero().flatten().tolist() == moved.tolist()
    assert torch.allclose(step[moved], (4 / 6) ** 0.5 * polar(grad[moved]))


def test_of_a_tall_matrix_the_columns_move():
    grads = [random(4, 6, seed=seed) for seed in range(4)]
    options = {**EXACT, "adjust_lr_fn": "match_rms_adamw"}
    wide = after(Dion2, grads, START, **options)
    tall = after(Dion2, [grad.mT for grad in grads], START.mT, **options)
    assert torch.allclose(tall.mT, wide)


def test_with_all_rows_and_no_memory_it_is_muon():
    grads = [random(4, 6, seed=seed) for seed in range(4)]
    both = {**EXACT, "lr": 0.1, "momentum": 0.0, "adjust_lr_fn": "original"}
    found = after(Dion2, grads, START, fraction=1.0, **both)
    assert torch.allclose(found, after(Muon, grads, START, nesterov=False, **both))


def test_every_row_moves_in_the_end():
    param = nn.Parameter(torch.zeros(8, 8))
    optimizer = Dion2([param], fraction=0.125, momentum=0.5, weight_decay=0.0)
    for seed in range(40):
        param.grad = random(8, 8, seed=seed).float()
        optimizer.step()
    assert (param.detach().norm(dim=1) > 0).all()


def test_the_decay_acts_on_rows_that_do_not_move():
    found = after(
        Dion2,
        [random(4, 6)],
        START,
        lr=0.5,
        weight_decay=0.1,
        **{key: value for key, value in EXACT.items() if key != "weight_decay"},
    )
    still = (found - START * 0.95).norm(dim=1) < 1e-12
    assert still.sum() == 3


def test_every_matrix_of_a_parameter_moves_as_it_does_alone():
    grads = [random(6, 4, seed=seed) for seed in range(4)]
    start = random(6, 4, seed=9)
    whole = after(Dion2, grads, start, matrices=Heads(2))
    for index, part in enumerate(whole.split(3)):
        along = [grad.split(3)[index] for grad in grads]
        assert torch.equal(part, after(Dion2, along, start.split(3)[index]))

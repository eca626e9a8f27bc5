from __future__ import annotations

import torch

from schuss import Signum, SPlus
from schuss.matrices import Heads, Split
from tests.optimizers.orthogonal import after, random

START = random(4, 4, seed=9)
PLAIN = {"weight_decay": 0.0, "lr": 1.0}


def test_the_first_step_is_the_sign_over_the_mean_side():
    grad = random(3, 5)
    step = -after(SPlus, [grad], torch.zeros(3, 5).double(), **PLAIN)
    assert torch.allclose(step, grad.sign() * 2 / (3 + 5))


def test_the_second_step_worked_by_hand():
    # The eigenvectors of [[2, 1], [1, 2]] squared are (1, 1) and (1, -1) over sqrt(2). In them the
    # second gradient, diag(1, 3), is [[2, -1], [-1, 2]], whose signs are, turned back, diag(0, 2).
    first = torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double()
    second = torch.diag(torch.tensor([1.0, 3.0])).double()
    options = {"betas": (0.0, 0.5), **PLAIN}
    zero = torch.zeros(2, 2, dtype=torch.float64)
    step = after(SPlus, [first], zero, **options) - after(SPlus, [first, second], zero, **options)
    assert torch.allclose(step, torch.diag(torch.tensor([0.0, 2.0])).double() * 2 / 4)


def test_the_decay_has_the_factor_of_the_step():
    zero = torch.zeros(4, 4, dtype=torch.float64)
    found = after(SPlus, [zero], START, lr=0.5, weight_decay=0.1)
    assert torch.allclose(found, START * (1 - 0.5 * 2 / 8 * 0.1))


def test_without_bases_it_is_signum():
    grads = [random(4, 4, seed=seed) for seed in range(5)]
    found = after(SPlus, grads, START, max_dim=1, lr=0.4, weight_decay=0.0)
    assert torch.allclose(found, after(Signum, grads, START, lr=0.1, momentum=0.9))


def test_a_rotation_rotates_the_path_after_the_first_step():
    left, right = (torch.linalg.qr(random(4, 4, seed=n)).Q for n in (5, 7))
    grads = [random(4, 4, seed=seed) for seed in range(4)]
    plain = after(SPlus, grads, START, **PLAIN) - after(SPlus, grads[:1], START, **PLAIN)
    turned = [left @ grad @ right for grad in grads]
    ends = (after(SPlus, along, left @ START @ right, **PLAIN) for along in (turned, turned[:1]))
    all_steps, one_step = ends
    assert torch.allclose(all_steps - one_step, left @ plain @ right)


def test_every_matrix_of_a_parameter_moves_as_it_does_alone():
    start, grads = random(6, 3, seed=9), [random(6, 3, seed=seed) for seed in range(4)]
    whole = after(SPlus, grads, start, matrices=Heads(2))
    for index, part in enumerate(whole.split(3)):
        along = [grad.split(3)[index] for grad in grads]
        assert torch.allclose(part, after(SPlus, along, start.split(3)[index]))
    blocks = after(SPlus, grads, start, matrices=Split(4, 2), **PLAIN)
    for part in (slice(None, 4), slice(4, None)):
        along = [grad[part] for grad in grads]
        assert torch.allclose(blocks[part], after(SPlus, along, start[part], **PLAIN))

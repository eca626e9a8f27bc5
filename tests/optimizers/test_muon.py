from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from schuss import Muon
from schuss.matrices import SETS, Dims, Heads, Split, orthogonalized
from tests.optimizers.orthogonal import EXACT, polar, random
from tests.optimizers.orthogonal import after as walked

after = partial(walked, Muon)


def test_two_steps_worked_by_hand():
    # A diagonal matrix stays one, and its polar factor has the signs of its diagonal.
    # B_1 = 0.5 diag(2, -4) = diag(1, -2), and 0.5 B_1 + 0.5 g_1 has its signs: +, -.
    # B_2 = 0.5 diag(1, -2) + 0.5 diag(-1.5, 8) = diag(-0.25, 3), and 0.5 B_2 + 0.5 g_2 = -, +.
    grads = [torch.diag(torch.tensor(x)).double() for x in ([2.0, -4.0], [-1.5, 8.0])]
    start = torch.ones(2, 2, dtype=torch.float64)
    first = after(grads[:1], start, lr=0.25, momentum=0.5, **EXACT)
    assert torch.allclose(first, torch.tensor([[0.75, 1.0], [1.0, 1.25]]).double())
    both = after(grads, start, lr=0.25, momentum=0.5, **EXACT)
    assert torch.allclose(both, start)


def test_nesterov_looks_ahead():
    # B_2 = diag(0.75, -2.25) + diag(-0.5, 2) = diag(0.25, -0.25); with 0.75 B + 0.25 g:
    # diag(-0.3125, 1.8125), so that both have the other sign.
    grads = [torch.diag(torch.tensor(x)).double() for x in ([4.0, -12.0], [-2.0, 8.0])]
    zero = torch.zeros(2, 2, dtype=torch.float64)
    plain = after(grads, zero, lr=1.0, momentum=0.75, nesterov=False, **EXACT)
    assert torch.allclose(plain, torch.diag(torch.tensor([-2.0, 2.0])).double())
    ahead = after(grads, zero, lr=1.0, momentum=0.75, nesterov=True, **EXACT)
    assert torch.allclose(ahead, zero)


def test_a_step_is_the_polar_factor_of_the_mean_and_decay_is_decoupled():
    start, grad = random(6, 4), random(6, 4, seed=1)
    found = after([grad], start, lr=0.1, **{**EXACT, "weight_decay": 0.5})
    # s = sqrt(6 / 4)
    expected = start * (1 - 0.1 * 0.5) - 0.1 * (6 / 4) ** 0.5 * polar(grad)
    assert torch.allclose(found, expected)


def test_the_path_ignores_the_scale_of_the_gradients():
    grads = [random(5, 7, seed=seed) for seed in range(4)]
    start = random(5, 7, seed=9)
    expected = after(grads, start, eps=0.0)
    for exponent in (-300, 40):
        scaled = [grad * 2.0**exponent for grad in grads]
        assert torch.equal(after(scaled, start, eps=0.0), expected)
    # With torch's eps, gradients of 1e-9 give a step that is a hundredth as long.
    tiny = after([grads[0] * 1e-10], start, weight_decay=0.0) - start
    whole = after([grads[0]], start, weight_decay=0.0) - start
    assert tiny.norm() < 0.3 * whole.norm()


def test_a_rotation_of_the_outputs_or_of_the_inputs_rotates_the_path():
    left, right = (torch.linalg.qr(random(n, n, seed=n)).Q for n in (5, 7))
    grads = [random(5, 7, seed=seed) for seed in range(3)]
    start = random(5, 7, seed=9)
    expected = left @ after(grads, start, **EXACT) @ right
    rotated = after([left @ grad @ right for grad in grads], left @ start @ right, **EXACT)
    assert torch.allclose(rotated, expected)


def test_a_transposed_matrix_takes_the_transposed_path():
    grads = [random(5, 7, seed=seed) for seed in range(3)]
    start = random(5, 7, seed=9)
    options = {**EXACT, "adjust_lr_fn": "match_rms_adamw"}
    expected = after(grads, start, **options)
    assert torch.allclose(after([grad.mT for grad in grads], start.mT, **options).mT, expected)
    dims = Dims(rows=(1,), cols=(0,))
    for scale in ("original", "spectral"):  # by the shape of the matrix, not of the parameter
        found = after(grads, start, **EXACT, adjust_lr_fn=scale, matrices=dims)
        as_matrix = after([g.mT for g in grads], start.mT, **EXACT, adjust_lr_fn=scale)
        assert torch.allclose(found, as_matrix.mT)


@pytest.mark.parametrize(
    ("matrices", "shape", "parts"),
    [
        (Heads(3), (6, 4), lambda x: x.split(2)),
        (Heads(2, dim=1), (6, 4), lambda x: x.split(2, 1)),
        (Split(3, 2, 1), (6, 4), lambda x: x.split([3, 2, 1])),
        ("batch", (3, 6, 4), lambda x: x.unbind()),
    ],
    ids=["rows", "columns", "blocks", "batch"],
)
def test_every_matrix_of_a_parameter_moves_as_it_does_alone(matrices, shape, parts):
    grads = [random(*shape, seed=seed) for seed in range(3)]
    start = random(*shape, seed=9)
    whole = after(grads, start, matrices=matrices)
    for index, part in enumerate(parts(whole)):
        alone = after([parts(grad)[index] for grad in grads], parts(start)[index])
        assert torch.equal(part, alone)


def test_a_convolution_moves_as_the_matrix_of_its_filters():
    grads = [random(6, 2, 3, 3, seed=seed) for seed in range(3)]
    start = random(6, 2, 3, 3, seed=9)
    found = after(grads, start, matrices="flatten")
    expected = after([grad.flatten(1) for grad in grads], start.flatten(1))
    assert torch.equal(found.flatten(1), expected)


def test_the_options_of_the_iteration_reach_it():
    grad, zero = random(4, 9), torch.zeros(4, 9, dtype=torch.float64)
    for name in SETS:
        found = after(
            [grad],
            zero,
            lr=1.0,
            weight_decay=0.0,
            ns_coefficients=name,
            ns_steps=None,
            precision="float32",
        )
        expected = orthogonalized(grad, coefficients=name, precision="float32")
        assert torch.allclose(-found, expected, rtol=1e-12)
    gram = after([grad], zero, lr=1.0, weight_decay=0.0, form="gram")
    assert torch.allclose(-gram, orthogonalized(grad * 0.0975, form="gram"))


def test_a_momentum_buffer_in_bfloat16_is_not_normalized():
    # torch.optim.Muon divides it by its norm, because its copy in bfloat16 is the buffer itself.
    param = nn.Parameter(torch.zeros(4, 4, dtype=torch.bfloat16))
    optimizer = Muon([param], momentum=0.5, nesterov=False)
    param.grad = torch.full((4, 4), 8.0, dtype=torch.bfloat16)
    optimizer.step()
    assert optimizer.state[param]["momentum_buffer"].eq(4.0).all()


def test_a_parameter_that_is_no_matrix_is_refused_when_its_group_comes():
    weight, bias = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match=r"'fc.bias'.*AdamW \(Muon, parameter group 0\)"):
        Muon([("fc.weight", weight), ("fc.bias", bias)])
    optimizer = Muon([weight])
    with pytest.raises(ValueError, match=r"parameter 0: .*AdamW \(Muon, parameter group 1\)"):
        optimizer.add_param_group({"params": [bias]})
    assert len(optimizer.param_groups) == 1
    convolution = nn.Parameter(torch.ones(3, 3, 2, 2))
    with pytest.raises(ValueError, match="add matrices='flatten' to its group for a convolution"):
        optimizer.add_param_group({"params": [convolution]})
    optimizer.add_param_group({"params": [convolution], "matrices": "flatten"})


def test_a_group_that_is_changed_is_checked_in_the_next_step():
    weight = nn.Parameter(torch.ones(3, 3))
    weight.grad = torch.ones(3, 3)
    optimizer = Muon([weight])
    optimizer.step()
    optimizer.param_groups[0]["matrices"] = Heads(2)
    with pytest.raises(ValueError, match="3 rows cannot be divided among 2 heads"):
        optimizer.step()
    optimizer.param_groups[0]["matrices"] = Heads(3)
    optimizer.step()
    optimizer.param_groups[0]["params"].append(nn.Parameter(torch.ones(3)))
    with pytest.raises(ValueError, match="parameter 1: it has shape"):
        optimizer.step()


def test_zeros_stand_still_and_are_no_numbers_for_nobody():
    start = random(4, 4)
    assert torch.equal(after([torch.zeros(4, 4).double()], start, weight_decay=0.0), start)
    assert torch.equal(after([torch.zeros(4, 4).double()], start, weight_decay=0.0, eps=0.0), start)


def test_a_compiled_step_is_the_eager_one():
    torch._dynamo.reset()
    starts = [random(4, 6), random(5, 3)]
    ends = []
    for compiled in (False, True):
        params = [nn.Parameter(start.clone()) for start in starts]
        optimizer = Muon(params, precision="float32")
        step = torch.compile(optimizer.step, backend="aot_eager") if compiled else optimizer.step
        for seed in range(2):
            for param in params:
                param.grad = random(*param.shape, seed=seed)
            step()
        ends.append(torch.cat([param.detach().flatten() for param in params]))
    torch._dynamo.reset()
    assert torch.allclose(ends[0], ends[1], rtol=1e-12)

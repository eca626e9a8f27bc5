from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import AdamMini, AdamW
from tests.conformance.trajectories import TOLERANCE, distance
from tests.optimizers.matrices import double, moved
from tests.optimizers.paths import GRADS, START, ends

pytestmark = pytest.mark.usefixtures("without_compiler")

RATES = {"lr": 0.25, "betas": (0.5, 0.75), "eps": 0.0}
FIRST, SECOND = double([[3.0, -4.0], [1.0, 7.0]]), double([[1.0, 1.0], [-2.0, 4.0]])


def test_two_steps_of_rows_worked_by_hand():
    # Mean squares 25/2 and 50/2, then 1 and 10. With m_1 = g_1 / 2 and v_1 = mean / 4, the
    # corrections give the gradient over the root of its mean.
    found = moved(AdamMini, [FIRST], **RATES)
    torch.testing.assert_close(found, -0.25 * FIRST / double([[12.5], [25.0]]).sqrt())
    # m_2 = g_1 / 4 + g_2 / 2, over 3/4; v_2 = 3/16 of the first mean and 1/4, over 7/16.
    both = moved(AdamMini, [FIRST, SECOND], **RATES)
    m = (FIRST / 4 + SECOND / 2) / 0.75
    v = (double([[12.5], [25.0]]) * 3 / 16 + double([[1.0], [10.0]]) / 4) / (7 / 16)
    torch.testing.assert_close(both - found, -0.25 * m / v.sqrt())


def test_the_stabilizer_is_added_to_the_root():
    found = moved(AdamMini, [FIRST], **{**RATES, "eps": 2.0})
    torch.testing.assert_close(found, -0.25 * FIRST / (double([[12.5], [25.0]]).sqrt() + 2))


def test_a_tensor_may_be_one_block():
    # The mean of 9, 16, 1 and 49 is 75/4.
    found = moved(AdamMini, [FIRST], blocks="tensor", **RATES)
    torch.testing.assert_close(found, -0.25 * FIRST / 18.75**0.5)


def test_heads_are_blocks_of_rows():
    grads = [torch.cat([FIRST, SECOND]), torch.cat([SECOND, FIRST])]
    found = moved(AdamMini, grads, blocks=2, **RATES)
    halves = [
        moved(AdamMini, [g[at] for g in grads], blocks="tensor", **RATES)
        for at in (slice(0, 2), slice(2, 4))
    ]
    torch.testing.assert_close(found, torch.cat(halves))


@pytest.mark.parametrize("engine", ["foreach", "fused"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("blocks", [2, 6])
def test_heads_are_blocks_on_every_engine(blocks, dtype, engine):
    draw = torch.Generator().manual_seed(0)
    shapes = ((6, 6), (12, 2, 3), (6,), (5, 4), (9, 4))
    drawn = [[torch.randn(s, generator=draw).to(dtype) for s in shapes] for _ in range(4)]
    ends, kept = [], []
    for options in ({"foreach": False}, {engine: True}):
        params = [nn.Parameter(value.clone()) for value in drawn[0]]
        heads = {"params": params[:3], "blocks": blocks}
        others = {"params": params[4], "blocks": 3}
        optimizer = AdamMini([heads, {"params": params[3]}, others], lr=0.1, **options)
        for grads in drawn[1:]:
            for param, grad in zip(params, grads, strict=True):
                param.grad = grad
            optimizer.step()
        ends.append([param.detach() for param in params])
        kept.append([optimizer.state[param]["vmean"] for param in params])
    assert [tuple(v.shape) for v in kept[1]] == [(blocks, 1)] * 3 + [(5, 1), (3, 1)]
    assert all(v.dtype is torch.promote_types(dtype, torch.float32) for v in kept[1])
    torch.testing.assert_close(kept[1], kept[0])
    assert distance(ends[1], ends[0]) <= TOLERANCE[dtype]


@pytest.mark.parametrize("options", [{"blocks": "element"}, {"blocks": "row"}])
def test_blocks_of_one_number_are_adamw(options):
    grads = [torch.tensor(grad, dtype=torch.float64).view(3, 1) for grad in GRADS]
    start = torch.tensor(START, dtype=torch.float64).view(3, 1)
    common = {"lr": 0.1, "weight_decay": 0.3}
    expected = moved(AdamW, grads, start, **common)
    torch.testing.assert_close(moved(AdamMini, grads, start, **options, **common), expected)


def test_elements_of_a_row_keep_their_proportions():
    found = moved(AdamMini, [FIRST, 2 * FIRST, -FIRST], **RATES)
    torch.testing.assert_close(found[:, 0] * FIRST[:, 1], found[:, 1] * FIRST[:, 0])


def test_groups_choose_their_blocks():
    params = [nn.Parameter(torch.zeros(4, 2)) for _ in range(3)]
    groups = [
        {"params": params[n], "blocks": b} for n, b in enumerate(("row", "tensor", "element"))
    ]
    optimizer = AdamMini(groups)
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer.step()
    shapes = [tuple(optimizer.state[param]["vmean"].shape) for param in params]
    assert shapes == [(4, 1), (), (4, 2)]


def test_a_learning_rate_of_zero_moves_nothing():
    assert ends(AdamMini, GRADS, START, lr=0.0, weight_decay=0.5) == START


def test_heads_have_to_divide_a_parameter():
    param = nn.Parameter(torch.ones(4, 2))
    param.grad = torch.ones_like(param)
    optimizer = AdamMini([param], blocks=3)
    with pytest.raises(ValueError, match=r"blocks: 3; a parameter of shape \(4, 2\) cannot be div"):
        optimizer.step()
    assert (param == 1).all()


@pytest.mark.parametrize(
    ("before", "after", "vmean"),
    [
        # A quarter of the mean squares of FIRST, which by rows are 12.5 and 25.
        ("row", "tensor", 18.75 / 4),
        ("tensor", "row", [[18.75 / 4], [18.75 / 4]]),
        ("row", 1, [[18.75 / 4]]),
        (1, "element", [[18.75 / 4, 18.75 / 4], [18.75 / 4, 18.75 / 4]]),
        ("element", "row", [[12.5 / 4], [25.0 / 4]]),
    ],
)
def test_other_blocks_begin_with_the_means_of_those_before(before, after, vmean):
    param = nn.Parameter(torch.zeros_like(FIRST))
    optimizer = AdamMini([param], blocks=before, foreach=False, **RATES)
    param.grad = FIRST.clone()
    optimizer.step()
    optimizer.param_groups[0].update(blocks=after, betas=(0.5, 1 - 1e-12))  # which change no more
    optimizer.step()
    torch.testing.assert_close(optimizer.state[param]["vmean"], torch.tensor(vmean).double())

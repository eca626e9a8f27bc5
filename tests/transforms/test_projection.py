from __future__ import annotations

import pytest
import torch

from schuss.transforms.projection import projected

UPDATE = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
PARAM = torch.tensor([[3.0, 0.0], [0.0, 5.0]], dtype=torch.float64)


def test_channels_at_a_right_angle_lose_the_part_along_each_of_them():
    grad = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    kept, found = projected(UPDATE, grad, PARAM, delta=0.1, eps=0.0)
    assert kept.tolist() == [[0.0, 2.0], [3.0, 0.0]]
    assert found.item()


def test_a_whole_at_a_right_angle_loses_the_part_along_it():
    # The channels' cosines are 1 and -1, and together 3 * 5 - 5 * 3 = 0.
    grad = torch.tensor([[5.0, 0.0], [0.0, -3.0]], dtype=torch.float64)
    kept, found = projected(UPDATE, grad, PARAM, delta=0.1, eps=0.0)
    along = (3.0 * 1.0 + 5.0 * 4.0) / 34
    torch.testing.assert_close(kept, UPDATE - along * PARAM, rtol=1e-14, atol=0)
    assert found.item()


def test_one_channel_that_is_not_at_a_right_angle_is_enough_to_leave_all():
    grad = torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    kept, found = projected(UPDATE, grad, PARAM, delta=0.1, eps=0.0)
    assert torch.equal(kept, UPDATE)
    assert not found.item()


@pytest.mark.parametrize(("cosine", "expected"), [(0.49, True), (0.51, False)])
def test_the_threshold_falls_with_the_root_of_the_size_of_channels(cosine, expected):
    # delta / sqrt(4) = 0.5; for both together it is delta / sqrt(8) = 0.35.
    param = torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 2)
    grad = torch.tensor([[-cosine, (1 - cosine**2) ** 0.5, 0.0, 0.0]] * 2)
    assert projected(param, grad, param, delta=1.0, eps=1e-8)[1].item() is expected


@pytest.mark.parametrize(("cosine", "expected"), [(0.7, True), (0.71, False)])
def test_the_threshold_falls_with_the_root_of_the_size_of_the_whole(cosine, expected):
    # delta / sqrt(2) = 0.707; channels of one weight have a cosine of 1.
    param = torch.tensor([[1.0], [1e-3]])
    grad = torch.tensor([[-cosine], [(1 - cosine**2) ** 0.5]])
    assert projected(param, grad, param, delta=1.0, eps=1e-8)[1].item() is expected


def test_zeros_are_no_trouble():
    zero = torch.zeros(2, 2)
    kept, _ = projected(torch.ones(2, 2), zero, zero, delta=0.1, eps=1e-8)
    assert torch.equal(kept, torch.ones(2, 2))

"""Counting the bytes that operations allocate."""

from __future__ import annotations

import torch

from schuss.engines.allocations import peak_of

X = torch.empty(1000, device="meta")


def test_all_that_is_alive_at_once_counts():
    assert peak_of(lambda: (X + 1, X + 2, X + 3)) == 3 * 4000


def test_a_result_that_nothing_refers_to_makes_room_for_the_next_one():
    def chain() -> None:
        y = X + 1
        for _ in range(5):
            y = y * 2

    assert peak_of(chain) == 2 * 4000


def test_views_and_operations_in_place_take_no_memory_and_keep_what_there_is():
    assert peak_of(lambda: X.view(10, 100).t().add_(1)) == 0

    def viewed() -> None:
        y = X + 1
        row = y.view(10, 100)[0]
        del y
        _ = X + row[0]

    assert peak_of(viewed) == 2 * 4000


def test_tensors_with_memory_count_alike():
    x = torch.zeros(1000)
    assert peak_of(lambda: torch._foreach_mul([x, x], 2.0)) == 2 * 4000

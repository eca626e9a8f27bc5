"""Which combinations a test goes through: every pair of values in the gate, or all of them.

A fault that depends on how three things meet is rare, and one that depends on how two meet is not.
So `make test` chooses combinations in which every two values of two factors meet at least once,
the same ones each time. Even these are many where each costs a compile: `make test` then takes some
for each optimizer, so that whatever can meet does so with one or the other. `make exhaustive` takes
all combinations.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

EXHAUSTIVE = os.environ.get("SCHUSS_TESTS") == "exhaustive"
"""Whether every test goes through all combinations."""


def combinations(
    *factors: Iterable[Any],
    where: Callable[..., bool] = lambda *values: True,
    exhaustive: bool = EXHAUSTIVE,
) -> list[tuple[Any, ...]]:
    """Return combinations of one value of each factor, in the order of their product.

    Every two values that meet in an allowed combination meet in one of those returned.

    Args:
        factors: The values of each factor.
        where: Tells whether a combination is allowed.
        exhaustive: Return all that are allowed.
    """
    lists = [list(factor) for factor in factors]
    product = [
        at
        for at in itertools.product(*map(range, map(len, lists)))
        if where(*(values[i] for values, i in zip(lists, at, strict=True)))
    ]
    chosen = product if exhaustive else sorted(_cover(product))
    return [tuple(values[i] for values, i in zip(lists, at, strict=True)) for at in chosen]


def in_turn(
    values: Iterable[Any], others: Iterable[Any], *, exhaustive: bool = EXHAUSTIVE
) -> list[tuple[Any, Any]]:
    """Return each value with one of the others, which take turns, or with each of them."""
    if exhaustive:
        return list(itertools.product(values, others))
    return list(zip(values, itertools.cycle(others)))


def some_of_each(
    cases: Mapping[Any, Iterable[tuple[Hashable, ...]]],
    count: int,
    *,
    exhaustive: bool = EXHAUSTIVE,
) -> list[tuple[Any, ...]]:
    """Return each key with some of its cases, those that have been taken least often by then.

    Cases that many keys have come about equally often, and so do the values in them.

    Args:
        cases: For each key what it may meet.
        count: How many of these it meets.
        exhaustive: Let each key meet all of them.
    """
    times: Counter[Any] = Counter()
    chosen = []
    for key, of_key in cases.items():
        left = list(of_key)
        for _ in range(len(left) if exhaustive else min(count, len(left))):
            least = min(
                left, key=lambda case: (times[case], sum(times[v] for v in enumerate(case)))
            )
            left.remove(least)
            times.update([least, *enumerate(least)])
            chosen.append((key, *least))
    return chosen


def _cover(product: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return some combinations in which every pair meets that meets in any.

    Greedily, those first in which most pairs meet that have not met. What a combination adds only
    shrinks as others are chosen, so that one whose gain is still what it was is the best. Among
    equals an arbitrary one comes first, else the first values of a factor would come most often.
    """
    met: set[tuple[Any, ...]] = set()
    order = random.Random(0).sample(range(len(product)), len(product))
    queue = [(-len(pairs(product[at])), rank, at) for rank, at in enumerate(order)]
    heapq.heapify(queue)
    chosen = []
    while queue:
        gain, rank, at = heapq.heappop(queue)
        new = pairs(product[at]) - met
        if len(new) == -gain:
            chosen.append(product[at])
            met |= new
        elif new:
            heapq.heappush(queue, (-len(new), rank, at))
    return chosen


def pairs(values: tuple[Any, ...]) -> set[tuple[Any, ...]]:
    """Return the pairs of values that meet in a combination, and of which factors they are."""
    return set(itertools.combinations(enumerate(values), 2))

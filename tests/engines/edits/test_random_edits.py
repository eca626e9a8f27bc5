"""Whatever is done to an optimizer between its steps, it goes on as the loop does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.covers import EXHAUSTIVE
from tests.engines.edits.twins import (
    AFTER,
    BEFORE,
    ENGINES,
    NOW,
    OPTIMIZERS,
    ROOMS,
    Change,
    Plan,
    edits_of,
    follow,
)

PLANS = 600 if EXHAUSTIVE else 50
"""For each optimizer, of four edits in the mean."""

SETTINGS = [
    ("automatic", "heap", 4, NOW),
    ("automatic", "page end", 1, NOW),
    ("foreach", "page start", 3, NOW),
    ("fused", "page end", 4, BEFORE),
]


def changes(optimizer):
    return st.builds(
        Change,
        edit=st.sampled_from(edits_of(optimizer)),
        which=st.integers(0, 4),
        seed=st.integers(0, 6),
        when=st.sampled_from([NOW, NOW, NOW, BEFORE, AFTER]),
    )


@st.composite
def plans(draw, optimizer):
    several = st.lists(changes(optimizer), min_size=1, max_size=3)
    return Plan(
        optimizer=optimizer,
        engine=draw(st.sampled_from(list(ENGINES))),
        room=draw(st.sampled_from(list(ROOMS))),
        warm=draw(st.integers(0, 4)),
        changes=draw(st.lists(several, min_size=1, max_size=4)),
        rest=draw(st.integers(0, 3)),
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_goes_on_as_the_loop_does(optimizer, child):
    @settings(max_examples=PLANS)
    @given(plans(optimizer))
    def explored(plan):
        child.call(follow, plan)

    explored()


@pytest.mark.parametrize("optimizer", OPTIMIZERS if EXHAUSTIVE else ["AdamW", "complex"])
def test_an_optimizer_goes_on_as_the_loop_does_after_each_edit(optimizer, child):
    for seed, edit in enumerate(edits_of(optimizer)):
        for which, (engine, room, warm, when) in enumerate(SETTINGS):
            change = Change(edit, which, seed % 7, when)
            child.call(follow, Plan(optimizer, engine, room, warm, [[change]], 3))


FOUND = [
    Plan("swapping", "automatic", "heap", 1, [[Change("states: of_another_shape", 1, 4, NOW)]], 3),
    Plan("in codes", "automatic", "heap", 1, [[Change("tensors: in_double", 4, 0, NOW)]], 0),
    Plan("projected", "automatic", "heap", 1, [[Change("states: in_double", 1, 0, NOW)]], 0),
    Plan("AdamW", "automatic", "heap", 1, [[Change("states: in_double", 2, 0, NOW)]], 0),
    Plan("Prodigy", "automatic", "heap", 1, [[Change("states: of_another_shape", 2, 2, NOW)]], 0),
    Plan("swapping", "automatic", "heap", 4, [[Change("states: of_another_shape", 0, 4, NOW)]], 3),
    Plan(
        "in bfloat16", "automatic", "page end", 1, [[Change("tensors: negated_view", 1, 5, NOW)]], 3
    ),
    Plan(
        "in bfloat16",
        "automatic",
        "heap",
        0,
        [[Change("states: a_number_of_its_own", 0, 0, NOW)]],
        0,
    ),
    Plan(
        "Adam with amsgrad",
        "automatic",
        "heap",
        0,
        [[Change("tensors: all_in_double", 0, 0, NOW)], [Change("tensors: in_half", 4, 0, NOW)]],
        0,
    ),
    Plan(
        "SGD with momentum",
        "automatic",
        "heap",
        1,
        [
            [
                Change("tensors: negated_view", 3, 0, NOW),
                Change("gradients: grad_is_another_parameter", 0, 0, NOW),
            ]
        ],
        0,
    ),
]
"""Edits after which a step that raised had changed a group, did not raise, or read it too late."""


@pytest.mark.parametrize("plan", FOUND, ids=lambda plan: f"{plan.optimizer}, {plan.changes[0][0]}")
def test_an_optimizer_goes_on_as_the_loop_does_after_edits_that_were_found(plan, child):
    child.call(follow, plan)

"""Who is in which cohort: parameters that a program cannot tell apart."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from schuss.engines.cohorts.contents import Member, Needs
from schuss.engines.cohorts.divided import divided
from schuss.engines.errors import UnfusableError
from schuss.engines.program.program import PARAM, STATE, Place

GROUP = {"master_weights": False, "maximize": False, "capturable": False, "state_storage": None}


@st.composite
def members(draw):
    """Draw a parameter with a state, of few kinds, so that many are alike."""
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16]))
    shape = draw(st.sampled_from([(2, 3), (6,), (1,), (0, 2)]))
    param = nn.Parameter(torch.zeros(shape, dtype=dtype))
    wide = draw(st.booleans())
    state = {"mean": torch.zeros(shape, dtype=torch.float32 if wide else dtype), "step": 1}
    if draw(st.booleans()):
        state["step"] = draw(st.sampled_from([2, 1.0]))
    if draw(st.booleans()):
        state["name"] = draw(st.sampled_from(["x", "y"]))
    return Member(param, state, draw(st.sampled_from([dtype, torch.float32])))


def kind(member):
    """Return all in which members of a cohort agree."""
    param, state, grad_dtype = member
    own = [(k, type(v)) if type(v) in (int, float) else (k, v) for k, v in state.items()]
    own = [(k, v.dtype) if isinstance(v, torch.Tensor) else (k, v) for k, v in own]
    return param.dtype, grad_dtype, param.numel() == 1, tuple(own)


@given(st.lists(members(), max_size=6))
def test_members_of_a_cohort_agree_and_all_that_agree_are_in_one(found):
    cohorts = divided(GROUP, found, Needs())
    by_param = {id(member.param): member for member in found}
    of_each = [[by_param[id(param)] for param in cohort.params] for cohort in cohorts]
    inside = [member for each in of_each for member in each]
    assert sorted(id(m.param) for m in inside) == sorted(
        id(member.param) for member in found if member.param.numel()
    )
    kinds = [{kind(member) for member in each} for each in of_each]
    assert all(len(each) == 1 for each in kinds)
    assert len(set().union(*kinds)) == len(cohorts)
    for cohort, each in zip(cohorts, of_each, strict=True):
        assert all(a is b.state for a, b in zip(cohort.states, each, strict=True))
        assert cohort.tensors(Place(PARAM)) == cohort.params
        means = cohort.tensors(Place(STATE + "mean"))
        assert all(a is b.state["mean"] for a, b in zip(means, each, strict=True))


@pytest.mark.parametrize(
    ("needs", "number"),
    [
        (Needs(), 1),
        (Needs(dims=True), 3),  # of two dimensions, of one, and of two of which one is 1
        (Needs(shapes=True), 4),
    ],
)
def test_what_a_rule_reads_of_shapes_divides(needs, number):
    shapes = [(2, 3), (4, 5), (6,), (2, 1)]
    found = [Member(nn.Parameter(torch.zeros(shape)), {}, torch.float32) for shape in shapes]
    assert len(divided(GROUP, found, needs)) == number


ROOM = torch.zeros(8)


@pytest.mark.parametrize(("begin", "shares"), [(0, True), (3, True), (4, False)])
@pytest.mark.parametrize("own", list(itertools.product(["param", "state"], repeat=2)), ids=str)
def test_tensors_that_share_memory_are_refused(own, begin, shares):
    pieces = ROOM[:4], ROOM[begin : begin + 4]
    found = []
    for whose, piece in zip(own, pieces, strict=True):
        other = torch.zeros(4)
        param, state = (piece, other) if whose == "param" else (other, piece)
        found.append(Member(param, {"mean": state}, torch.float32))
    if shares:
        with pytest.raises(UnfusableError, match="share memory"):
            divided(GROUP, found, Needs())
    else:
        assert len(divided(GROUP, found, Needs())) == 1


class Other(torch.Tensor):
    pass


@pytest.mark.parametrize(
    ("param", "message"),
    [
        (torch.zeros(2).as_subclass(Other), "a Other is not a plain tensor"),
        (torch._neg_view(torch.zeros(2)), "negated parameter has no memory of its own"),
    ],
)
def test_a_parameter_that_is_no_plain_tensor_is_refused(param, message):
    with pytest.raises(UnfusableError, match=message):
        divided(GROUP, [Member(param, {}, torch.float32)], Needs())

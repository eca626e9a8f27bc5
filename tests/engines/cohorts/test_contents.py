"""What is in a state, as far as programs are concerned, and what a rule needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.cohorts.contents import (
    Needs,
    all_fits,
    contents,
    is_like_state,
    plain_number,
)
from schuss.engines.errors import (
    DimensionsRead,
    HeadsRead,
    PerTensorState,
    ShapeRead,
    UnfusableError,
    WholeRead,
)
from schuss.storage.codecs import CODECS, encoded

ALONG = Needs(dims=True, along=True)


def of(state, shape=(5, 3), needs=ALONG, dtype=torch.float32):
    """Return the contents of a state beside a parameter."""
    param = torch.zeros(shape, dtype=dtype)
    state = {key: param if value == "param" else value for key, value in state.items()}
    (fits,) = all_fits([param], [state], needs) if needs.along else [{}]
    return contents(param, state, needs, fits)


def test_each_key_is_of_one_kind():
    state = {
        "like": torch.zeros(5, 3),
        "alias": "param",
        "rows": torch.zeros(5),
        "columns": torch.zeros(1, 3),
        "norm": torch.zeros(()),
        "value": torch.zeros(1),
        "step": 3,
        "name": "x",
        "nothing": None,
        "array": np.float32(2),
    }
    found = of(state, needs=ALONG._replace(per_tensor=frozenset({"value"})))
    assert found.element == ["like"]
    assert found.aliases == ["alias"]
    assert dict(found.along) == {"rows": [((0,),)], "columns": [((), (1,))]}
    assert found.per_tensor == ["value"]
    assert found.whole == []
    assert list(found.scalars) == ["norm", "step", "name", "nothing", "array"]


def test_a_tensor_of_another_shape_is_for_functions_of_whole_tensors():
    state = {"factor": torch.zeros(5, 5), "basis": torch.zeros(3, 2), "like": torch.zeros(5, 3)}
    with pytest.raises(WholeRead):
        of(state)
    found = of(state, needs=ALONG.after(WholeRead()))
    assert found.whole == ["factor", "basis"]
    assert found.element == ["like"]


def test_a_square_matrix_beside_a_matrix_is_no_statistic_of_heads():
    with pytest.raises(WholeRead):
        of({"factor": torch.zeros(3, 3)}, (6, 3))
    with pytest.raises(HeadsRead):
        of({"means": torch.zeros(3, 1)}, (6, 3))


@pytest.mark.parametrize(
    ("value", "shape", "dtype", "message"),
    [
        (torch.zeros(4).long(), (5, 3), torch.float32, r"is torch.int64 of shape \(4,\), unlike"),
        ([1], (5, 3), torch.float32, "is a list"),
        (torch.zeros(5, 3).to_sparse(), (5, 3), torch.float32, "is no plain tensor with memory"),
        (
            torch._neg_view(torch.zeros(5, 3)),
            (5, 3),
            torch.float32,
            "is no plain tensor with memory",
        ),
        (torch.zeros(5, 3), (5, 3), torch.float64, "is torch.float32, for a parameter of"),
        (torch.zeros(5), (5, 3), torch.float64, "is torch.float32, for a parameter of"),
        (torch.zeros(5, 3).double(), (5, 3), torch.bfloat16, "is torch.float64, for a"),
        # Beside one number of half precision, one in double is a mean that was left there.
        (torch.zeros((), dtype=torch.float64), (), torch.bfloat16, "is torch.float64, for a"),
        (
            torch.zeros(1, dtype=torch.complex64),
            (5, 3),
            torch.complex64,
            r"is torch.complex64 of shape \(1,\)",
        ),
    ],
)
def test_what_no_program_is_for_is_refused_with_its_key(value, shape, dtype, message):
    with pytest.raises(UnfusableError, match=f"state 'key' {message}"):
        of({"key": value}, shape, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_state_beside_half_precision_may_be_wide(dtype):
    assert of({"key": torch.zeros(5, 3)}, dtype=dtype).element == ["key"]
    assert of({"key": torch.zeros(5, 3, dtype=dtype)}, dtype=dtype).element == ["key"]


@pytest.mark.parametrize(("dtype", "kind"), [(torch.float64, "element"), (torch.float32, "number")])
def test_a_narrow_number_beside_a_wide_one_is_no_mean(dtype, kind):
    found = of({"key": torch.zeros((), dtype=dtype)}, (), Needs(), torch.float64)
    assert found.element == (["key"] if kind == "element" else [])
    assert list(found.scalars) == (["key"] if kind == "number" else [])


def test_a_real_number_beside_a_complex_one_is_a_number():
    found = of({"norm": torch.zeros(())}, (), Needs(), torch.complex64)
    assert (found.element, list(found.scalars)) == ([], ["norm"])
    alike = torch.zeros((), dtype=torch.complex64)
    assert of({"mean": alike}, (), Needs(), torch.complex64).element == ["mean"]


def test_a_vector_asks_for_dimensions_before_it_is_refused():
    with pytest.raises(DimensionsRead) as read:
        of({"rows": torch.zeros(5)}, needs=Needs())
    assert read.value.along


def test_a_number_for_each_of_equal_parts_asks_for_heads():
    with pytest.raises(HeadsRead) as read:
        of({"heads": torch.zeros(2)}, (6, 5))
    assert read.value.heads == 2
    found = of({"heads": torch.zeros(2)}, (6, 5), ALONG._replace(heads=2))
    assert dict(found.along) == {"heads": [((0,),)]}


@pytest.mark.parametrize(
    ("tensor", "like"),
    [
        (torch.zeros(6, 5), True),
        (torch.zeros(1, 1), True),
        (torch.zeros(6), True),
        (torch.zeros(5), True),
        (torch.zeros(3), True),  # a number for each two rows
        (torch.zeros(3, 1), True),
        (torch.zeros(4), False),
        (torch.zeros(5, 6), False),
        (torch.zeros(6, 5, 1), False),
    ],
)
def test_a_tensor_is_like_state_by_its_shape(tensor, like):
    assert is_like_state(tensor, torch.zeros(6, 5)) == like


@given(st.lists(st.integers(2, 5), min_size=2, max_size=5), st.booleans())
def test_parameters_tell_together_which_axis_a_vector_has(sizes, of_rows):
    # All square but the last one: alone, a vector beside a square may be of either.
    params = [torch.zeros(n, n) for n in sizes[:-1]] + [torch.zeros(sizes[-1], sizes[-1] + 1)]
    states = [{"v": torch.zeros(len(p) if of_rows else p.shape[1])} for p in params]
    fits = all_fits(params, states, ALONG)
    assert [dict(each) for each in fits] == [{"v": [((0,),) if of_rows else ((1,),)]}] * len(params)
    alone = all_fits(params[:-1], states[:-1], ALONG)
    assert [dict(each) for each in alone] == [{"v": [((0,),), ((1,),)]}] * (len(params) - 1)


def test_vectors_that_cannot_be_of_the_same_axis_fit_nowhere():
    params = [torch.zeros(3, 4), torch.zeros(4, 3)]
    assert all_fits(params, [{"v": torch.zeros(3)}] * 2, ALONG) == [{}, {}]


def test_parameters_with_other_dimensions_tell_apart():
    params = [torch.zeros(4, 4), torch.zeros(4, 5, 6)]
    fits = all_fits(params, [{"v": torch.zeros(4)}, {"v": torch.zeros(5)}], ALONG)
    assert [dict(each) for each in fits] == [{"v": [((0,),), ((1,),)]}, {"v": [((1,),)]}]


def test_an_encoded_tensor_is_like_its_parameter_even_where_both_are_one_number():
    state = {"m": encoded(CODECS["int8"], torch.ones(1, 1)), "v": torch.ones(1, 1)}
    found = of(state, shape=(1, 1))
    assert found.element == ["m"]
    assert list(found.along) == ["v"]


def test_of_complex_parameters_there_are_no_statistics_along_dimensions():
    param = torch.zeros(3, 4, dtype=torch.complex64)
    assert all_fits([param], [{"v": torch.zeros(3)}], ALONG) == [{}]


@pytest.mark.parametrize(
    ("request_", "after"),
    [
        (ShapeRead(), Needs(shapes=True, per_tensor=frozenset("n"))),
        (DimensionsRead(along=False), Needs(dims=True, per_tensor=frozenset("n"))),
        (DimensionsRead(along=True), Needs(dims=True, along=True, per_tensor=frozenset("n"))),
        (HeadsRead(4), Needs(dims=True, along=True, heads=4, per_tensor=frozenset("n"))),
        (PerTensorState("m"), Needs(per_tensor=frozenset("nm"))),
    ],
)
def test_a_request_adds_to_what_a_rule_needs(request_, after):
    assert Needs(per_tensor=frozenset("n")).after(request_) == after


def test_what_was_needed_along_dimensions_is_needed_still():
    assert ALONG.after(DimensionsRead(along=False)) == ALONG


def test_numbers_of_numpy_become_python_s():
    assert [type(plain_number(x)) for x in (np.float32(1), np.int64(2), 3)] == [float, int, int]

"""Predicates by themselves: how they are written, and why they hold."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss.composite import aspect, embeddings, everything, named, ndim, norms, shorter_side, tied
from schuss.composite.facts import Fact, facts_of


def fact(*shape, names=("layer.weight",), roles=None):
    return Fact(torch.zeros(shape), names, roles or {})


def test_a_quantity_becomes_a_predicate_by_a_comparison():
    vector, matrix = fact(3), fact(4, 3)
    for predicate in (ndim < 2, ndim <= 1, ndim == 1):
        assert predicate.reason(vector) == "ndim is 1"
        assert predicate.reason(matrix) == ""
    for predicate in (ndim > 1, ndim >= 2, ndim == 2):
        assert predicate.reason(vector) == ""
        assert predicate.reason(matrix) == "ndim is 2"


def test_a_comparison_binds_closer_than_python_reads_it():
    vector, norm = fact(3), fact(4, 3, roles={"norm": "of a LayerNorm"})
    for predicate in (norms | ndim < 2, ndim < 2 | norms, tied | ndim < 2 | norms | embeddings):
        assert predicate.reason(vector) == "ndim is 1"
        assert predicate.reason(norm) == "of a LayerNorm"
        assert predicate.reason(fact(4, 3)) == ""
    assert repr(embeddings | tied | ndim < 2) == "embeddings | tied | ndim < 2"
    assert repr(tied | ndim < 2 | norms) == "tied | ndim < 2 | norms"
    both = norms & ndim == 2
    assert both.reason(norm) == "of a LayerNorm, ndim is 2"
    assert both.reason(fact(3, roles={"norm": "of a LayerNorm"})) == ""
    assert (ndim == 2 & norms).reason(norm) == "ndim is 2, of a LayerNorm"


def test_predicates_are_put_together():
    norm, matrix = fact(4, 3, roles={"norm": "of a LayerNorm"}), fact(4, 3)
    assert (~norms).reason(matrix) == "not norms"
    assert (~norms).reason(norm) == ""
    assert (~(norms | tied) & everything).reason(matrix) == "not (norms | tied), everything else"
    assert repr(~(norms | tied) & named("*.w")) == "~(norms | tied) & named('*.w')"


def test_a_misspelled_combination_is_an_error():
    for wrong in (
        lambda: norms or tied,
        lambda: norms and tied,
        lambda: not norms,
        lambda: 1 < ndim < 4,
        lambda: ndim < 4 | aspect,  # type: ignore[operator]
        lambda: norms | "*.weight",  # type: ignore[operator]
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError, match=r"write \|, & and ~ for or, and, not"):
        bool(norms | tied)


def test_names_are_matched_in_full_and_by_every_name():
    one = fact(4, 3, names=("wte.weight", "lm_head.weight"))
    assert named("lm_head.*").reason(one) == "named lm_head.weight"
    assert named("*.weight").reason(one) == "named wte.weight"
    assert named("weight").reason(one) == named("*.Weight").reason(one) == ""


def test_sides_are_those_of_the_matrix():
    kernel, stack = fact(8, 2, 3, 3), fact(5, 12, 4, roles={"experts": "5 matrices"})
    assert (shorter_side == 8).reason(kernel)
    assert (aspect == 18 / 8).reason(kernel)
    assert (shorter_side == 4).reason(stack)
    assert (aspect == 3).reason(stack)
    assert (shorter_side == 1).reason(fact())
    assert (aspect == 6).reason(fact(6))


def test_what_cannot_be_known_is_an_error():
    (alone,) = facts_of([nn.Parameter(torch.zeros(2, 2))])
    with pytest.raises(
        TypeError, match=r"embeddings tells parameters by the modules .* give it th"
    ):
        embeddings.reason(alone)
    with pytest.raises(
        TypeError, match=r"a parameter of shape \(2, 2\) has none; give Composite th"
    ):
        named("*").reason(alone)
    with pytest.raises(TypeError, match="was given str among the parameters"):
        facts_of(["weight"])

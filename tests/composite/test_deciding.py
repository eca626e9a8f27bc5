"""A route decides about every parameter, or says why it cannot."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from schuss import SGD, AdamW, Composite, Lion, Muon
from schuss.composite import embeddings, everything, heads, named, ndim, norms, tied, usual_route
from tests.composite.networks import HIDDEN, network


def groups_of(composite):
    return [(g["algorithm"], g["lr"], g["param_names"]) for g in composite.param_groups]


def test_the_first_line_about_a_parameter_decides():
    route = [
        ("rest", embeddings | heads | tied | norms | ndim < 2, {"lr": 1e-4}),
        ("hidden", named("4.*"), {"lr": 0.5}),
        ("hidden", everything),
    ]
    composite = Composite(network(), route=route, rest=AdamW(lr=3e-4), hidden=Lion(lr=0.25))
    assert groups_of(composite) == [
        ("rest", 1e-4, [n for n, _ in network().named_parameters() if n not in HIDDEN]),
        ("hidden", 0.5, ["4.weight"]),
        ("hidden", 0.25, ["2.weight"]),
    ]


def test_lines_of_one_part_with_equal_options_share_a_group():
    composite = Composite(
        network(),
        rest=AdamW(lr=1e-3),
        route=[
            ("rest", norms, {"weight_decay": 0.0}),
            ("rest", ndim == 2),
            ("rest", named("*.bias"), {"weight_decay": 0.0}),
        ],
    )
    assert [g["weight_decay"] for g in composite.param_groups] == [0.0, 0.01]
    assert composite.param_groups[1]["param_names"] == [
        "0.weight",
        "2.weight",
        "4.weight",
        "6.weight",
    ]


def test_three_parts_step_one_model():
    composite = Composite(
        network(),
        route=[("tables", embeddings), ("vectors", ndim < 2), ("matrices", everything)],
        matrices=Lion(lr=1e-3),
        tables=SGD(lr=0.1),
        vectors=AdamW(lr=1e-4),
    )
    assert [name for name, *_ in groups_of(composite)] == ["matrices", "tables", "vectors"]


def test_parameters_alone_are_told_by_name_and_shape():
    named_params = list(network().named_parameters())
    route = [("hidden", named("[24].weight") & ndim == 2), ("rest", everything)]
    composite = Composite(named_params, route=route, hidden=Lion(), rest=AdamW())
    assert composite.param_groups[0]["param_names"] == HIDDEN
    unnamed = [param for _, param in named_params]
    composite = Composite(unnamed, route=[("a", ndim == 2), ("b", ndim < 2)], a=Lion(), b=AdamW())
    assert [len(g["params"]) for g in composite.param_groups] == [4, 5]
    assert "param_names" not in composite.param_groups[0]


def test_frozen_parameters_are_in_no_part():
    model = network()
    next(model.parameters()).requires_grad = False
    composite = Composite(model, hidden=Lion(), rest=AdamW())
    assert len(composite.routes()) == 8


def test_groups_that_name_their_part_need_no_route():
    params = list(network().parameters())
    groups: list[dict[str, Any]] = [
        {"params": params[:1], "algorithm": "rest"},
        {"params": params[1:2], "algorithm": "hidden", "lr": 0.5},
    ]
    composite = Composite(groups, rest=AdamW(), hidden=Lion())
    assert [(g["algorithm"], g["lr"]) for g in composite.param_groups] == [
        ("rest", 1e-3),
        ("hidden", 0.5),
    ]
    with pytest.raises(ValueError, match="leave the route out"):
        Composite(groups, rest=AdamW(), route=[("rest", everything)])
    with pytest.raises(ValueError, match="a parameter group of Composite has no 'algorithm'"):
        Composite([{"params": params}], rest=AdamW())
    with pytest.raises(ValueError, match="appear in more than one parameter group"):
        Composite([groups[0], {**groups[0]}], rest=AdamW())


REFUSED = {
    "a part that there is not": (
        [("embeddings", embeddings), ("rest", everything)],
        "line 1 of the route, embeddings, is for the part 'embeddings', which there is not",
    ),
    "a part without a line": (
        [("rest", everything)],
        "no line of the route is for the part 'hidden'; leave the part out",
    ),
    "a name that there is not": (
        [("hidden", named("*.atn.*")), ("hidden", ndim == 2), ("rest", everything)],
        "line 1 of the route, named('*.atn.*'), is about no parameter; one of them is '0.w",
    ),
    "a parameter that is left over": (
        [("hidden", ndim == 2), ("rest", norms)],
        "no line of the route is about '2.bias' of shape (12,); end the route with a line for",
    ),
    "a hyper-parameter that there is not": (
        [("hidden", ndim == 2, {"eps": 1.0}), ("rest", everything)],
        "line 1 of the route, ndim == 2, gives 'eps', which is no hyper-parameter of Lion; there",
    ),
    "a hyper-parameter out of its domain": (
        [("hidden", ndim == 2, {"lr": -1.0}), ("rest", everything)],
        "Invalid learning rate: -1.0; lr must be at least 0 and finite (Lion, parameter group 0)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_route_with_a_fault_is_refused(case):
    route, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        Composite(network(), route=route, hidden=Lion(), rest=AdamW())


@pytest.mark.parametrize("line", ["rest", ("rest",), ("rest", "*.weight"), ("rest", ndim < 2, 0.5)])
def test_a_line_that_is_none_is_refused(line):
    with pytest.raises(
        TypeError, match=r"line 2 of the route is .*; it must be the name of a part"
    ):
        Composite(network(), route=[("rest", everything), line], rest=AdamW())


def test_a_route_is_needed_for_parts_of_other_names():
    message = "needs a route for the parts 'matrices', 'rest', as in route=[('matrices', everything"
    with pytest.raises(ValueError, match=re.escape(message)):
        Composite(network(), matrices=Lion(), rest=AdamW())


def test_the_usual_route_may_exempt_vectors_from_the_weight_decay():
    composite = Composite(network(), hidden=Lion(), rest=AdamW(), exempt_bias_and_norm=True)
    exempt = [name for name, param in network().named_parameters() if param.ndim < 2]
    groups = [(g["algorithm"], g["weight_decay"], g["param_names"]) for g in composite.param_groups]
    assert groups[0] == ("hidden", 0.0, HIDDEN)
    assert groups[1:] == [("rest", 0.0, exempt), ("rest", 0.01, ["0.weight", "6.weight"])]
    with pytest.raises(TypeError, match="exempt_bias_and_norm=True is for the usual route; write"):
        Composite(network(), rest=AdamW(), route=[("rest", everything)], exempt_bias_and_norm=True)


def test_lines_before_those_of_the_usual_route_change_some_of_its_decisions():
    route = [("hidden", named("0.weight"), {"lr": 0.5}), *usual_route()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        composite = Composite(network(), route=route, hidden=Muon(), rest=AdamW())
    first, second, third = composite.param_groups
    assert (first["param_names"], first["lr"]) == (["0.weight"], 0.5)
    assert (second["param_names"], second["matrices"]) == (HIDDEN, None)
    assert third["algorithm"] == "rest"
    composite = Composite(network(), route=usual_route(), hidden=Lion(), rest=AdamW())
    assert "matrices" not in composite.param_groups[0]


def test_a_line_that_comes_too_late_is_told():
    route = [("hidden", ndim == 2), ("hidden", embeddings), ("rest", everything)]
    with pytest.warns(
        UserWarning, match=r"line 2 of the route, embeddings, decides nothing, .*'0\.w"
    ):
        Composite(network(), route=route, hidden=Lion(), rest=AdamW())


def test_a_part_without_parameters_is_told():
    with pytest.warns(UserWarning, match="the part 'hidden' of Composite has no parameters"):
        Composite(nn.Sequential(nn.Linear(4, 5)), hidden=Lion(), rest=AdamW())


def test_the_table_shows_every_parameter_the_parts_and_what_looks_wrong():
    route = [("hidden", ndim == 2, {"lr": 0.5}), ("rest", everything)]
    composite = Composite(network(), route=route, hidden=Lion(), rest=AdamW())
    text = str(composite.routes())
    assert re.search(r"^2\.weight +12x16 +hidden +ndim is 2, lr=0\.5$", text, re.MULTILINE)
    assert re.search(r"^0\.weight +20x8 +hidden +ndim is 2, lr=0\.5 \(!\)$", text, re.MULTILINE)
    assert re.search(
        r"^3\.bias +12 +rest +everything else: normalization, LayerNorm$", text, re.MULTILINE
    )
    assert "  hidden (Lion): 4 parameters, 523 numbers" in text
    assert "  0.weight: embedding, Embedding: no matrix within the model" in text
    assert "  6.weight: output layer, the last of a Sequential: no matrix within the model" in text


def test_the_table_names_frozen_parameters_until_they_are_added():
    model = network()
    for param in (model[0].weight, model[2].weight):
        param.requires_grad_(False)
    composite = Composite(model, hidden=Lion(), rest=AdamW())
    assert {"0.weight", "2.weight"}.isdisjoint(row.name for row in composite.routes())
    told = "  none: 0.weight and 1 more, frozen when Composite was made"
    assert told in str(composite.routes()).splitlines()
    model[2].weight.requires_grad_(True)
    composite.add_param_group({"params": [("2.weight", model[2].weight)], "algorithm": "hidden"})
    assert composite.routes().frozen == ["0.weight"]
    assert "frozen" not in str(Composite(network(), hidden=Lion(), rest=AdamW()).routes())


def test_no_warning_comes_from_a_route_that_is_right():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Composite(network(), hidden=Lion(), rest=AdamW())
        assert torch.is_tensor(next(network().parameters()))

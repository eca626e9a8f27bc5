from __future__ import annotations

import pkgutil
import re

import pytest
import torch
from torch import nn

import schuss
from schuss import optimizers
from schuss.registry import parse_spec
from tests.algorithms import EVERY, fitting


def test_every_optimizer_is_listed_with_a_description_a_source_and_its_memory():
    listed = schuss.list_optimizers()
    # Not `vars(schuss)`, where a class is only once it was asked for.
    exported = [getattr(schuss, name) for name in schuss.__all__]
    algorithms = {
        value
        for value in exported
        if isinstance(value, type)
        and issubclass(value, schuss.Optimizer)
        and value not in (schuss.Optimizer, schuss.GenericAdaptiveOptimizer, schuss.Composite)
    }
    assert {info.cls for info in listed} == algorithms
    files = {module.name for module in pkgutil.iter_modules(optimizers.__path__)}
    assert {info.name for info in listed} == files
    for info in listed:
        assert info.summary
        assert re.search(r"[12]\d{3}", info.source), info.source
        assert "per parameter" in info.memory


def test_a_pattern_selects():
    assert [info.name for info in schuss.list_optimizers("ADA*F")] == ["adabelief"]
    assert schuss.list_optimizers("nothing*") == []


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("name", EVERY)
def test_the_memory_that_is_listed_is_the_memory_that_is_kept(name):
    (info,) = schuss.list_optimizers(name)
    param = nn.Parameter(fitting(name, torch.ones(10)))
    param.grad = torch.ones_like(param)
    optimizer = schuss.create_optimizer(name, [param])
    optimizer.step()
    kept = sum(torch.is_tensor(v) and v.numel() == 10 for v in optimizer.state[param].values())
    stated = {"one": 1, "two": 2, "three": 3, "four": 4}[info.memory.split()[0]]
    if name in ("sgd", "mars", "adahessian"):
        kept += 1  # with momentum, for matrices, and with an estimate
    if name in ("sm3", "klshampoo"):  # a vector's own vector, and the eigenvalues of a row
        kept -= 1
    assert kept == stated


def test_a_name_that_there_is_not_gets_a_suggestion():
    with pytest.raises(ValueError, match="no optimizer 'adamv'; did you mean adam"):
        schuss.create_optimizer("adamv", [nn.Parameter(torch.ones(1))])
    with pytest.raises(ValueError, match="no optimizer 'zzz'; there are adabelief, adadelta, "):
        schuss.create_optimizer("zzz", [nn.Parameter(torch.ones(1))])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.norm = nn.LayerNorm((4, 4))
        self.linear = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))
        self.frozen = nn.Parameter(torch.ones(4, 4), requires_grad=False)
        self.tied = nn.Linear(4, 5, bias=False)
        self.tied.weight = self.embedding.weight


def test_a_model_gives_its_trainable_parameters_with_their_names():
    optimizer = schuss.create_optimizer("adamw", Net(), weight_decay=0.1)
    (group,) = optimizer.param_groups
    assert group["param_names"] == [
        "scale",
        "embedding.weight",
        "norm.weight",
        "norm.bias",
        "linear.weight",
        "linear.bias",
    ]


def test_biases_norms_and_vectors_are_exempt_from_decay_when_asked():
    model = Net()
    optimizer = schuss.create_optimizer("adamw", model, weight_decay=0.1, exempt_bias_and_norm=True)
    decayed, exempt = optimizer.param_groups
    assert decayed["param_names"] == ["embedding.weight", "linear.weight"]
    assert exempt["param_names"] == ["scale", "norm.weight", "norm.bias", "linear.bias"]
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.1, 0.0)
    for param in model.parameters():
        param.grad = torch.zeros_like(param)
    before = model.norm.weight.clone()
    optimizer.step()
    assert torch.equal(model.norm.weight, before)


def test_a_model_of_vectors_alone_makes_one_group():
    optimizer = schuss.create_optimizer("sgd", nn.LayerNorm(3), exempt_bias_and_norm=True)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0]


def test_exempting_needs_the_model():
    with pytest.raises(TypeError, match=r"needs the model itself.*type list"):
        schuss.create_optimizer("sgd", [nn.Parameter(torch.ones(1))], exempt_bias_and_norm=True)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("sgd", ("sgd", {})),
        ("sgd:", ("sgd", {})),
        (" adamw : lr=1e-3 , betas=(0.9, 0.95)", ("adamw", {"lr": 1e-3, "betas": (0.9, 0.95)})),
        ("sgd:nesterov=True,momentum=.9", ("sgd", {"nesterov": True, "momentum": 0.9})),
        ("wsd:shape='sqrt'", ("wsd", {"shape": "sqrt"})),
    ],
)
def test_a_specification_is_a_name_and_literal_options(spec, expected):
    assert parse_spec(spec) == expected


@pytest.mark.parametrize(
    "spec", ["", ":lr=1", "sgd:lr", "sgd:lr=", "sgd:1", "sgd:lr=f()", "sgd:lr=1)(", "sgd:**{'a':1}"]
)
def test_anything_else_is_refused(spec):
    with pytest.raises(ValueError, match="cannot read .*; write it as NAME"):
        parse_spec(spec)


def of_model(**options):
    layers = [nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 6)]
    model = nn.Sequential(*layers, nn.LayerNorm(6), nn.Linear(6, 5))
    optimizer = schuss.create_optimizer("muon", model, lr=0.02, **options)
    assert isinstance(optimizer, schuss.Composite)
    return optimizer


def test_an_optimizer_for_matrices_has_adamw_beside_it_for_the_rest_of_a_model():
    optimizer = of_model(ns_steps=4, maximize=True, transforms=[schuss.ClipByGlobalNorm(0.5)])
    flat, plain, rest = optimizer.param_groups
    assert (flat["param_names"], flat["matrices"]) == (["0.weight"], "flatten")
    assert (plain["param_names"], plain["matrices"]) == (["2.weight"], None)
    assert (plain["lr"], plain["ns_steps"], plain["max_grad_norm"]) == (0.02, 4, 0.5)
    assert rest["param_names"] == ["0.bias", "2.bias", "3.weight", "3.bias", "4.weight", "4.bias"]
    assert (rest["lr"], rest["maximize"], rest["max_grad_norm"]) == (1e-3, True, 0.5)


def test_the_other_optimizer_is_written_as_on_a_command_line():
    optimizer = of_model(rest="lion:lr=1e-4,weight_decay=0.5", exempt_bias_and_norm=True)
    *_, exempt, rest = optimizer.param_groups
    assert (exempt["lr"], exempt["weight_decay"]) == (1e-4, 0.0)
    assert exempt["param_names"] == ["0.bias", "2.bias", "3.weight", "3.bias", "4.bias"]
    assert (rest["param_names"], rest["weight_decay"], rest["betas"]) == (
        ["4.weight"],
        0.5,
        (0.9, 0.99),
    )


def test_the_other_optimizer_is_only_for_a_model_with_one_for_matrices():
    for name, params in (
        ("muon", [nn.Parameter(torch.ones(2, 2))]),
        ("lion", nn.Linear(2, 2)),
    ):
        with pytest.raises(TypeError, match=r"rest='sgd' is for a model beside an optimizer of"):
            schuss.create_optimizer(name, params, rest="sgd")

"""Constructors are made of declarations, for Python and for type checkers."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import schuss
from schuss.declarations import arguments, required
from schuss.domains import at_least

ROOT = Path(__file__).parents[1]

CALLS = """\
import schuss
import torch
from schuss.declarations import required
from schuss.domains import at_least
from schuss.composite import Route, embeddings, everything, named, ndim, norms
from torch import nn

params = [nn.Parameter(torch.ones(2))]
model = nn.Linear(2, 2)


class Mine(schuss.Optimizer):
    lr: float = schuss.rate(default=1e-2)


class Smaller(schuss.Lion):
    lr: float | torch.Tensor = schuss.rate(default=1e-5)


class Needing(Mine):
    share: float = required("s", "of the step", at_least(0), kw_only=True)


class Older(schuss.SGD):
    def __init__(self, params: list[nn.Parameter], rate: float) -> None:
        super().__init__(params, lr=rate)


schuss.Lion(params, 1e-3, (0.9, 0.99), 0.1, fused=True)
schuss.Lion(params, weight_decay=schuss.WeightDecay(0.1)).weight_decay.penalized
schuss.RAdam(params, 1e-3, (0.9, 0.999), 1e-8, 0.0, True)
schuss.AdamW([{"params": params, "lr": 0.1}], lr=torch.tensor(1.0), transforms=[schuss.EMA(0.9)])
schuss.Accumulate(4)
Mine(params, 0.1, maximize=True)
Smaller(params, betas=(0.9, 0.99))
Older(params, 0.1)
Needing(params, 0.1, share=0.5)
Smaller(weight_decay=0.1).param_groups  # without parameters: a recipe
route: Route = [("rest", embeddings | norms | ndim < 2, {"lr": 1e-4}), ("hidden", everything)]
schuss.Composite(model, hidden=schuss.Muon(lr=0.02), rest=Mine(lr=1e-3), route=route, fused=True)
schuss.Composite(params, rest=Mine(), route=[("rest", ~named("*.weight") & (ndim == 2))]).routes()
schuss.Composite(model, rest="mine")  # wrong
schuss.Composite(model, rest=Mine(), route=[("rest", "*.weight")])  # wrong
schuss.Composite(rest=Mine())  # wrong
norms | 2  # wrong
schuss.Lion(params, lr="fast")  # wrong
schuss.Lion(params, momentum=0.9)  # wrong
schuss.Lion(params, 1e-3, (0.9, 0.99), 0.0, True)  # wrong
schuss.Lion(params, betas=0.9)  # wrong
schuss.AdamW(params, decoupled_weight_decay=False)  # wrong
schuss.Accumulate()  # wrong
schuss.EMA(ema_decay="long")  # wrong
Mine(params, eps=1e-8)  # wrong
Older(params, lr=0.1)  # wrong
Needing(params, 0.1)  # wrong
Needing(params, 0.1, 0.5)  # wrong
"""

CHECKERS = {
    "mypy": ["-m", "mypy", "--strict", "--no-error-summary", "--config-file", "pyproject.toml"],
    "pyright": ["-m", "basedpyright", "--level", "error", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_type_checkers_know_the_constructors(checker, tmp_path):
    file = tmp_path / "calls.py"
    file.write_text(CALLS)
    command = [sys.executable, *CHECKERS[checker], str(file)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    wrong = {n for n, line in enumerate(CALLS.splitlines(), 1) if line.endswith("# wrong")}
    refused = {int(number) for number in re.findall(r"calls\.py:(\d+).*error", found.stdout)}
    assert refused == wrong, found.stdout + found.stderr


class Declared(schuss.Optimizer):
    """Steps along a share of the gradient."""

    lr: float = schuss.rate("of the first kind", default=0.5)
    share: float = schuss.hyper("s", "what is taken", at_least(0), default=1.0, kw_only=True)

    def update(self, state, group, grad, param):
        return grad * group["share"]


class Redeclared(Declared):
    share: float = schuss.hyper("s", "what is taken", at_least(0), default=2.0)
    lr: float = schuss.rate(default=0.25)


class WithConstructor(Declared):
    def __init__(self, params, rate):
        super().__init__(params, rate, share=0.5)


def weight() -> nn.Parameter:
    param = nn.Parameter(torch.ones(2))
    param.grad = torch.ones(2)
    return param


def group_of(optimizer: schuss.Optimizer) -> tuple[float, float]:
    (group,) = optimizer.param_groups
    return group["lr"], group["share"]


def test_a_class_is_constructed_as_it_declares():
    assert group_of(Declared([weight()])) == (0.5, 1.0)
    assert group_of(Declared([weight()], 0.1, share=3.0)) == (0.1, 3.0)
    assert group_of(WithConstructor([weight()], 0.1)) == (0.1, 0.5)
    with pytest.raises(TypeError, match="too many positional"):
        Declared([weight()], 0.1, 3.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        Declared([weight()], speed=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="Invalid share value: -1"):
        Declared([weight()], share=-1)


def test_a_hyper_parameter_without_a_default_is_given_by_name():
    class Needing(Declared):
        part: float = required("p", "of it", at_least(0), kw_only=True)

    (group,) = Needing([weight()], 0.1, part=2.0).param_groups
    assert (group["lr"], group["part"]) == (0.1, 2.0)
    with pytest.raises(TypeError, match="missing a required .*'part'"):
        Needing([weight()])  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Positional: non-default .* declare it with kw_only=True"):
        type("Positional", (Declared,), {"part": required("p", "of it", at_least(0))})


def test_no_optimizer_changes_the_default_of_another():
    class Tensorial(Declared):
        lr: float | torch.Tensor = schuss.rate(default=torch.tensor(0.5))  # type: ignore[assignment]

    first = Tensorial([weight()])
    first.param_groups[0]["lr"].fill_(0.1)  # as schedulers do
    assert group_of(Tensorial([weight()])) == (0.5, 1.0)


class Noted:
    def __init__(self, *args, note="", **options):
        super().__init__(*args, **options)
        self.note = note


class Mixed(Noted, Redeclared):
    pass


class OfBoth(Redeclared, WithConstructor):
    part: float = schuss.hyper("p", "of it", at_least(0), default=0.25)


def test_classes_that_inherit_from_several_are_constructed_by_the_first_constructor():
    mixed = Mixed([weight()], 0.1, note="mine")  # type: ignore[call-arg]
    assert (group_of(mixed), mixed.note) == ((0.1, 2.0), "mine")
    twin = pickle.loads(pickle.dumps(mixed))
    assert (group_of(twin), twin.note) == ((0.1, 2.0), "mine")
    assert list(inspect.signature(OfBoth).parameters)[:4] == [*("params", "lr", "share", "part")]
    assert OfBoth([weight()], 0.1, 0.2, 0.3).param_groups[0]["part"] == 0.3


def test_a_declaration_that_is_made_again_keeps_its_place():
    assert [hyper.name for hyper in arguments(Redeclared) if not hyper.is_common] == ["lr", "share"]
    assert group_of(Redeclared([weight()], 0.1, 4.0)) == (0.1, 4.0)


def test_the_signature_and_the_help_tell_what_is_declared():
    assert list(inspect.signature(Declared).parameters)[:2] == ["params", "lr"]
    assert inspect.signature(Declared).parameters["share"].kind is inspect.Parameter.KEYWORD_ONLY
    assert list(inspect.signature(WithConstructor).parameters) == ["params", "rate"]
    doc = str(Declared.__doc__)
    assert "lr (γ): Learning rate: of the first kind. It must be at least 0" in doc
    assert "share (s): What is taken." in doc


def test_a_declaration_belongs_to_the_class():
    optimizer = Declared([weight()])
    assert str(Declared.share).startswith("share (s)")
    with pytest.raises(AttributeError, match="hyper-parameters belong to its groups"):
        _ = optimizer.share


def test_a_method_cannot_have_the_name_of_a_hyper_parameter():
    with pytest.raises(TypeError, match="'share' is a declared hyper-parameter"):
        type("Confused", (Declared,), {"share": lambda self: 1})


def test_a_class_may_have_a_property_of_the_name_of_a_hyper_parameter():
    class Telling(Declared):
        @property  # type: ignore[misc]
        def lr(self):  # type: ignore[override]
            return self.param_groups[0]["lr"]

    assert Telling([weight()], 0.1).lr == 0.1


def test_a_class_with_a_constructor_may_use_any_name():
    class WithConstant(Declared):
        share = 0.25

        def __init__(self, params):
            super().__init__(params, 0.1, share=self.share)

    assert group_of(WithConstant([weight()])) == (0.1, 0.25)


def test_arguments_count_for_more_than_further_defaults():
    more = {"lr": 0.1, "share": 3.0, "warmup": 5}
    assert group_of(Declared([weight()], 0.2, defaults=more)) == (0.2, 3.0)
    assert group_of(Declared([weight()], share=0.3, defaults=more)) == (0.1, 0.3)
    (group,) = Declared([weight()], defaults=more).param_groups
    assert group["warmup"] == 5


def test_arguments_are_declared_by_the_names_that_a_constructor_takes():
    for info in schuss.list_optimizers():
        taken = {*inspect.signature(info.cls).parameters} - {"params", "options"}
        declared = {each.name for each in arguments(info.cls)}
        assert taken <= declared, info.name
        assert {each.name for each in arguments(info.cls) if not each.is_common} <= taken


def test_copies_are_constructed_alike():
    optimizer = Declared([weight()], 0.1, share=2.0)
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        (param,) = twin.param_groups[0]["params"]
        param.grad = torch.ones(2)
        twin.step()
        assert group_of(twin) == (0.1, 2.0)
        assert param.tolist() == pytest.approx([0.8, 0.8])


OF_TORCH = sorted({*schuss.optimizers.__all__} & {*vars(torch.optim)})


@pytest.mark.parametrize("name", OF_TORCH)
def test_positional_arguments_come_in_the_order_of_torch(name):
    def positional(cls: type) -> list[str]:
        parameters = inspect.signature(cls).parameters.values()
        return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    theirs = positional(getattr(torch.optim, name))
    ours = positional(getattr(schuss, name))
    common = [argument for argument in theirs if argument in ours]
    assert ours[: len(common)] == common


def test_every_hyper_parameter_is_explained():
    for info in schuss.list_optimizers():
        own = [hyper for hyper in arguments(info.cls) if not hyper.is_common]
        assert all(hyper.meaning for hyper in own), info.name
        if "__init__" not in vars(info.cls):
            assert all(f"{hyper}\n" in f"{info.cls.__doc__}\n" for hyper in own), info.name

"""One optimizer of several parts does what each part does alone, and is one for everything else."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

import schuss
from schuss import (
    EMA,
    LAMB,
    SAM,
    SGD,
    Accumulate,
    Adafactor,
    AdamW,
    AdamWScheduleFree,
    Cautious,
    ClipByGlobalNorm,
    Composite,
    Lion,
    Optimizer,
    Prodigy,
    SkipNonFinite,
)
from schuss.composite import everything, ndim
from schuss.stepped import rules_of
from tests.composite.networks import divided, network, same, train, weights

ENGINES: dict[str, dict[str, Any]] = {
    "fastest": {},
    "fused": {"fused": True},
    "foreach": {"foreach": True},
    "loop": {"foreach": False},
}

PAIRS: dict[str, tuple[Any, Any]] = {
    "lion, adamw": (lambda p=None: Lion(p, lr=1e-2), lambda p=None: AdamW(p, lr=1e-2)),
    "lamb, sgd": (lambda p=None: LAMB(p, lr=1e-2), lambda p=None: SGD(p, lr=0.1, momentum=0.9)),
    "prodigy twice": (lambda p=None: Prodigy(p, lr=1.0), lambda p=None: Prodigy(p, lr=1.0)),
    "schedule-free": (lambda p=None: AdamWScheduleFree(p, lr=1e-2), Adafactor),
    "clipped, mean": (
        lambda p=None: AdamW(p, lr=1e-2, transforms=[ClipByGlobalNorm(0.01)]),
        lambda p=None: SGD(p, lr=0.1, transforms=[ClipByGlobalNorm(0.02), EMA(0.5)]),
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pair", PAIRS)
def test_each_part_moves_bit_for_bit_as_it_does_alone(pair, engine):
    options, (hidden, rest) = ENGINES[engine], PAIRS[pair]
    together, apart = network(), network()
    composite = Composite(together, hidden=hidden(), rest=rest(), **options)
    matrices, others = divided(apart)
    alone = [hidden(matrices), rest(others)]
    for optimizer in alone:
        for group in optimizer.param_groups:
            group.update(options)
    train(together, [composite])
    train(apart, alone)
    assert same(together, apart)
    assert not same(together, network())
    composite.eval()
    for optimizer in alone:
        optimizer.eval()
    assert same(together, apart)


def test_half_precision_and_master_weights_are_those_of_each_group():
    together, apart = network(torch.bfloat16), network(torch.bfloat16)
    recipe = AdamW(lr=1e-2, master_weights=True)
    train(together, [Composite(together, hidden=Lion(lr=1e-2), rest=recipe)])
    matrices, others = divided(apart)
    train(apart, [Lion(matrices, lr=1e-2), AdamW(others, lr=1e-2, master_weights=True)])
    assert same(together, apart)


def test_a_norm_of_a_transform_around_all_parts_is_that_of_all_gradients():
    together, whole = network(), network()
    clip = ClipByGlobalNorm(0.01)
    parts = {"hidden": AdamW(lr=1e-2), "rest": AdamW(lr=1e-2)}
    train(together, [Composite(together, transforms=[clip], **parts)])
    groups = [{"params": params} for params in divided(whole)]
    train(whole, [AdamW(groups, lr=1e-2, transforms=[clip])])
    assert same(together, whole)
    of_each = network()
    clipped = [AdamW(params, lr=1e-2, transforms=[clip]) for params in divided(of_each)]
    train(of_each, clipped)
    assert not same(together, of_each)


def test_transforms_of_all_parts_come_before_those_of_a_part():
    together, apart = network(), network()
    recipe = SGD(lr=0.1, transforms=[Cautious()])
    composite = Composite(together, transforms=[EMA(0.5)], hidden=recipe, rest=Lion(lr=1e-3))
    train(together, [composite])
    matrices, others = divided(apart)
    sgd = SGD(matrices, lr=0.1, transforms=[EMA(0.5), Cautious()])
    train(apart, [sgd, Lion(others, lr=1e-3, transforms=[EMA(0.5)])])
    assert same(together, apart)
    assert composite.param_groups[1]["ema_decay"] == 0.5
    with composite.evaluating():
        assert not same(together, apart)


@pytest.mark.parametrize("transform", [Accumulate(2), SAM(), SkipNonFinite()])
def test_a_transform_that_decides_about_the_step_decides_for_all_parts(transform):
    together, whole = network(), network()
    parts = {"hidden": AdamW(lr=1e-2), "rest": AdamW(lr=1e-2)}
    composite = Composite(together, transforms=[transform], **parts)
    single = AdamW([{"params": p} for p in divided(whole)], lr=1e-2, transforms=[transform])
    for model, optimizer in ((together, composite), (whole, single)):
        for step in range(4):

            def closure(model=model, optimizer=optimizer, step=step):
                optimizer.zero_grad()
                loss = model(torch.tensor([[step, 1], [3, step]])).square().sum()
                loss.backward()
                return loss.item()

            optimizer.step(closure)
    assert same(together, whole)
    assert not same(together, network())


def test_one_schedule_changes_the_rates_of_all_parts():
    model = network()
    composite = Composite(model, hidden=SGD(lr=0.1, momentum=0.9), rest=AdamW(lr=1e-3))
    with pytest.raises(ValueError, match="must support momentum or beta1"):
        OneCycleLR(composite, [0.1, 1e-3], 10)  # the parts have no momentum of one name
    schedule = OneCycleLR(composite, [0.1, 1e-3], 10, cycle_momentum=False)
    rates = []
    for _ in range(4):
        train(model, [composite], steps=1)
        schedule.step()
        rates.append([group["lr"] for group in composite.param_groups])
    assert len({rate for rate, _ in rates}) == 4
    assert all(first == pytest.approx(100 * second) for first, second in rates)


def test_parts_that_share_a_hyper_parameter_share_its_schedule():
    composite = Composite(network(), hidden=Lion(), rest=AdamW())
    assert composite.defaults["betas"] == (0.9, 0.99)
    assert "eps" not in composite.defaults
    OneCycleLR(composite, [0.1, 1e-3], 10)
    assert composite.param_groups[0]["betas"][0] == composite.param_groups[1]["betas"][0] == 0.95


def test_a_scaler_takes_the_whole_step_or_none_of_it():
    model, plain = network(), network()
    composite: Any = Composite(model, hidden=Lion(lr=1e-2), rest=AdamW(lr=1e-2), fused=True)

    def scaled():
        for param in model.parameters():
            param.grad.mul_(1024.0)

    composite.grad_scale, composite.found_inf = torch.tensor(1024.0), torch.tensor(0.0)
    train(model, [composite], before_step=scaled)
    other = Composite(plain, hidden=Lion(lr=1e-2), rest=AdamW(lr=1e-2))
    train(plain, [other])
    assert same(model, plain)
    composite.found_inf = torch.tensor(1.0)
    train(model, [composite])
    assert same(model, plain)


def test_a_checkpoint_continues_bit_for_bit():
    def made(model):
        return Composite(model, hidden=Lion(lr=1e-2), rest=AdamWScheduleFree(lr=1e-2))

    model = network()
    composite = made(model)
    train(model, [composite])
    file = io.BytesIO()
    torch.save(composite.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert sorted(saved["state"]) == list(range(9))
    assert [group["algorithm"] for group in saved["param_groups"]] == ["hidden", "rest"]
    twin = copy.deepcopy(model)
    resumed = made(twin)
    resumed.load_state_dict(saved)
    other_model, pickled = pickle.loads(pickle.dumps((model, composite)))
    third_model, copied = copy.deepcopy((model, composite))
    for each, optimizer in (
        (model, composite),
        (twin, resumed),
        (other_model, pickled),
        (third_model, copied),
    ):
        train(each, [optimizer], seed=2)
    assert same(model, twin)
    assert same(model, other_model)
    assert same(model, third_model)


def test_a_checkpoint_of_other_parts_or_another_route_is_refused():
    model = network()
    composite = Composite(model, hidden=Lion(), rest=AdamW())
    train(model, [composite], steps=1)
    saved, before = composite.state_dict(), weights(model)
    renamed = Composite(
        model, matrices=Lion(), rest=AdamW(), route=[("matrices", ndim == 2), ("rest", everything)]
    )
    with pytest.raises(
        ValueError, match=r"group 0 is of the part 'hidden', and that of the optimi"
    ):
        renamed.load_state_dict(saved)
    other = Composite(model, hidden=AdamW(), rest=AdamW())
    with pytest.raises(ValueError, match="AdamW"):
        other.load_state_dict(saved)
    assert not other.state
    assert all(torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))


def test_groups_are_added_with_the_name_of_their_part():
    model, more = network(), nn.Parameter(torch.ones(3, 3))
    named = [("more", more)]
    composite = Composite(model, hidden=Lion(lr=0.5, weight_decay=0.0), rest=AdamW(lr=1e-3))
    with pytest.raises(ValueError, match=r"has no 'algorithm'; it must be .*: 'hidden', 'rest'"):
        composite.add_param_group({"params": named})
    with pytest.raises(ValueError, match="algorithm='hiden'"):
        composite.add_param_group({"params": named, "algorithm": "hiden"})
    with pytest.raises(ValueError, match=r"learning rate: -1.*\(Lion, parameter group 2\)"):
        composite.add_param_group({"params": named, "algorithm": "hidden", "lr": -1.0})
    composite.add_param_group({"params": named, "algorithm": "hidden"})
    assert composite.param_groups[2]["betas"] == (0.9, 0.99)
    more.grad = torch.ones(3, 3)
    composite.step()
    assert torch.equal(more.data, torch.full((3, 3), 0.5))
    assert composite.routes().rows[-1].reason == "its group says so"


def test_a_group_may_change_its_part_if_it_has_what_that_needs():
    model = network()
    composite = Composite(model, hidden=AdamW(lr=0.5), rest=AdamW(lr=1e-3))
    composite.param_groups[0]["algorithm"] = "rest"
    train(model, [composite], steps=1)
    composite.param_groups[0]["algorithm"] = "none"
    with pytest.raises(ValueError, match="algorithm='none'"):
        composite.step()


class Overwriting(Optimizer):
    """A rule from elsewhere that works in its gradient."""

    lr: float = schuss.rate(default=0.5)

    def update(self, state, group, grad, param):
        return grad.mul_(2.0)


def test_a_rule_that_is_traced_anew_leaves_other_parts_alone():
    composite = Composite(network(), hidden=Overwriting(), rest=AdamW())
    (_, first), (_, second) = rules_of(composite, composite.param_groups)
    assert first is None
    assert second is not None


class WithNumber(Optimizer):
    """A rule whose state has a number."""

    lr: float = schuss.rate(default=0.5)

    def init_state(self, state, group, param):
        state["kept"] = 0.0

    def update(self, state, group, grad, param):
        state["kept"] += 1.0
        return grad


class WithTensor(WithNumber):
    """A rule whose state has a tensor under the same key."""

    def init_state(self, state, group, param):
        state["kept"] = torch.zeros(())

    def update(self, state, group, grad, param):
        state["kept"] = state["kept"] + grad.square().sum()
        return grad


def test_one_key_of_the_state_may_be_a_number_in_one_part_and_a_tensor_in_another():
    model = network()
    composite = Composite(model, hidden=WithNumber(), rest=WithTensor())
    train(model, [composite], steps=1)
    for param in model.parameters():
        composite.state[param]["kept"] = torch.tensor(2.0)  # as files keep numbers
    train(model, [composite], steps=1)
    kinds = [
        [type(composite.state[p]["kept"]) for p in g["params"]] for g in composite.param_groups
    ]
    assert kinds == [[float] * 2, [torch.Tensor] * 7]
    assert composite.state[composite.param_groups[0]["params"][0]]["kept"] == 3.0


@pytest.mark.parametrize("first", ["hidden", "rest"])
def test_a_part_may_write_into_its_gradient_beside_one_that_does_not(first):
    recipes = {"hidden": Overwriting(), "rest": SGD(lr=0.5)}
    parts = {name: recipes[name] for name in sorted(recipes, reverse=first == "rest")}
    model = network()
    before = weights(model)
    for param in model.parameters():
        param.grad = torch.ones_like(param)
    Composite(model, foreach=False, **parts).step()
    names = [name for name, _ in model.named_parameters()]
    for name, old, new in zip(names, before, weights(model), strict=True):
        assert torch.equal(new, old - (1.0 if name in ("2.weight", "4.weight") else 0.5))
    assert all(torch.equal(param.grad, torch.ones_like(param)) for param in model.parameters())


def test_sparse_gradients_are_a_matter_of_the_part():
    def model(sparse):
        table = nn.Embedding(4, 3, sparse=sparse)
        nn.init.ones_(table.weight)
        return nn.Sequential(table, nn.Linear(3, 4))

    for rest, error in ((SGD(lr=0.1), None), (AdamW(), "does not support sparse gradients")):
        sparse = model(sparse=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            composite = Composite(sparse, hidden=Lion(), rest=rest)
        sparse[0](torch.tensor([1, 1])).sum().backward()
        if error is None:
            composite.step()
            assert sparse[0].weight[1].tolist() == pytest.approx([0.8, 0.8, 0.8])
            assert sparse[0].weight[0].tolist() == [1.0, 1.0, 1.0]
        else:
            with pytest.raises(RuntimeError, match=error):
                composite.step()


def test_options_are_of_all_parts_but_where_a_recipe_has_another():
    composite = Composite(
        network(), hidden=Lion(foreach=False), rest=AdamW(), fused=True, maximize=True
    )
    first, second = composite.param_groups
    assert (first["foreach"], second["foreach"]) == (False, None)
    assert first["maximize"] is second["maximize"] is True
    assert second["fused"] is True


def test_hooks_see_one_optimizer():
    model, seen = network(), []
    composite = Composite(model, hidden=Lion(), rest=AdamW())
    composite.register_step_pre_hook(lambda optimizer, *_: seen.append(optimizer))
    train(model, [composite], steps=2)
    assert seen == [composite, composite]


def test_the_explanation_and_the_representation_name_the_parts():
    composite = Composite(network(), hidden=Lion(), rest=SGD(lr=0.1, transforms=[EMA(0.9)]))
    lines = str(composite.explain()).splitlines()
    assert any(line.startswith("group 0 (hidden): 2 parameters") for line in lines)
    assert any(line.startswith("group 1 (rest): 7 parameters") for line in lines)
    text = repr(composite)
    assert "step of hidden: gradient -> WeightDecay" in text
    assert "decouple=False, absolute=False) -> SGD -> parameter -> EMA(" in text


def test_a_compiled_step_is_the_same_step():
    together, eager = network(), network()
    composite = Composite(together, hidden=Lion(lr=1e-2), rest=AdamW(lr=1e-2))
    step = torch.compile(composite.step, backend="eager", fullgraph=True)
    words = torch.tensor([[1, 2], [3, 4]])
    for _ in range(2):
        together.zero_grad()
        together(words).square().sum().backward()
        step()
    other = Composite(eager, hidden=Lion(lr=1e-2), rest=AdamW(lr=1e-2), foreach=False)
    for _ in range(2):
        eager.zero_grad()
        eager(words).square().sum().backward()
        other.step()
    for one, two in zip(weights(together), weights(eager), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-7)

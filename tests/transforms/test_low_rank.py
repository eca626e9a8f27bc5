"""Optimizers whose rule sees projected gradients: their state, their engines, their errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import pytest
import torch
from torch import nn

import schuss
from schuss import APOLLO, APOLLOMini, GaLore
from tests.conformance.trajectories import TOLERANCE, Training, distance, trajectory
from tests.covers import in_turn
from tests.engines.kernels.interpreted import kernels_interpreted
from tests.optimizers.orthogonal import random

MATRICES = ((8, 12), (7,), (12, 8), (5, 5), (6, 9))
"""The third has a gradient in two of three steps, and the second, a vector, none at first."""
EITHER = {"galore": GaLore(2, 3), "apollo": APOLLO(2, 3), "mini": APOLLOMini(apollo_every=3)}
RANKS = {"galore": "galore_rank", "apollo": "apollo_rank", "mini": "apollo_rank"}
RULES = {
    "adamw": {},
    "lion": {"weight_decay": 0.3},
    "sgd": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.3, "maximize": True},
    "adam": {"amsgrad": True},
    "adopt": {},
    "muon": {"precision": "float32"},
}
WAYS = (
    *(("galore", torch.float64), ("apollo", torch.float32), ("mini", torch.bfloat16)),
    *(("apollo", torch.float64), ("mini", torch.float32), ("galore", torch.bfloat16)),
)


def create(rule, transform, params, **options):
    transforms = [schuss.ClipByGlobalNorm(4.0), transform, schuss.EMA(0.9)]
    if rule == "muon":
        params = [{**group, "params": matrices_of(group)} for group in params]
    return schuss.create_optimizer(rule, params, lr=3e-2, transforms=transforms, **options)


def matrices_of(group):
    return [param for param in group["params"] if param.dim() == 2]


@pytest.mark.parametrize(("rule", "way"), in_turn(RULES, WAYS), ids=str)
def test_other_engines_take_the_path_of_the_loop(rule, way):
    name, dtype = way
    other = {RANKS[name]: 4, "lr": 1e-2}
    training = Training(14, dtype, other, scheduled=True, saved_after=9, shapes=MATRICES)
    made = partial(create, rule, EITHER[name], **RULES[rule])
    expected = trajectory(partial(made, foreach=False), training)
    with kernels_interpreted():
        fused = trajectory(partial(made, fused=True), training)
    foreach = trajectory(partial(made, foreach=True), training)
    assert distance(fused, expected) <= 10 * TOLERANCE[dtype]
    assert distance(foreach, expected) <= 10 * TOLERANCE[dtype]


@pytest.mark.parametrize("name", EITHER)
def test_a_checkpoint_continues_as_if_nothing_had_been_saved(name):
    made = partial(create, "adamw", EITHER[name], foreach=False)
    training = Training(20, shapes=MATRICES, saved_after=11)
    expected = trajectory(made, Training(20, shapes=MATRICES))
    assert distance(trajectory(made, training), expected) == 0


@pytest.mark.parametrize("shape", [(8, 2, 3, 3), (12, 2, 2, 2)], ids=["wide", "tall"])
@pytest.mark.parametrize("engine", [{"fused": True}, {"foreach": True}, {"foreach": False}])
@pytest.mark.parametrize("name", EITHER)
def test_a_convolution_is_projected_as_the_matrix_that_its_group_says(name, engine, shape):
    grads = [random(*shape, seed=seed) for seed in range(5)]
    ends = []
    for flat in (False, True):
        param = nn.Parameter(torch.ones_like(grads[0].flatten(1) if flat else grads[0]))
        groups: list[dict[str, object]] = [{"params": [param]}]
        groups[0] |= {} if flat else {"matrices": "flatten"}
        optimizer = schuss.AdamW(groups, lr=0.1, transforms=[EITHER[name]], **engine)
        for grad in grads:
            param.grad = grad.flatten(1) if flat else grad.clone()
            optimizer.step()
        ends.append((param.detach().flatten(1), optimizer.state[param]["exp_avg"]))
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", EITHER)
def test_a_parameter_of_several_matrices_is_refused(name):
    param = nn.Parameter(torch.zeros(8, 12))
    group = {"params": [param], "matrices": schuss.matrices.Heads(2)}
    why = rf"shape \(8, 12\), that consists of several matrices.*set {RANKS[name]}=None in its"
    with pytest.raises(TypeError, match=why):
        schuss.Muon([group], lr=0.1, transforms=[EITHER[name]])
    optimizer = schuss.Muon([{**group, RANKS[name]: None}], lr=0.1, transforms=[EITHER[name]])
    param.grad = torch.ones_like(param)
    optimizer.step()


@pytest.mark.parametrize("name", EITHER)
def test_what_is_not_projected_moves_as_without(name):
    alone = random(1 if name == "mini" else 2, 9)
    grads = [alone, random(5), random(4, 3, 2, 2), random(), random(4, 6)]
    ends = []
    for transforms in ([EITHER[name]], []):
        params = [nn.Parameter(torch.ones_like(grad)) for grad in grads]
        groups: list[dict[str, object]] = [{"params": params[:4]}, {"params": params[4:]}]
        groups[1] |= {RANKS[name]: None} if transforms else {}
        optimizer = schuss.AdamW(groups, lr=0.1, transforms=transforms, foreach=False)
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
        optimizer.step()
        ends.append([param.detach() for param in params])
    assert all(map(torch.equal, *ends))


def bytes_of(optimizer, param):
    kept = [value for value in optimizer.state[param].values() if isinstance(value, torch.Tensor)]
    return sum(value.numel() * value.element_size() for value in kept)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("engine", [{"foreach": False}, {"fused": True}], ids=["loop", "fused"])
def test_the_state_has_the_size_of_the_projection(dtype, engine):
    size = dtype.itemsize
    found = {}
    for name, transforms in {
        "plain": [],
        "galore": [GaLore(16)],
        "apollo": [APOLLO(16)],
        "mini": [APOLLOMini()],
    }.items():
        param = nn.Parameter(torch.zeros(256, 64, dtype=dtype))
        param.grad = torch.randn(256, 64).to(dtype)
        optimizer = schuss.AdamW([param], transforms=transforms, **engine)
        optimizer.step()
        found[name] = bytes_of(optimizer, param)
    assert found["plain"] == 2 * 256 * 64 * size
    assert found["galore"] == (2 * 256 + 64) * 16 * size
    assert found["apollo"] == 2 * 256 * 16 * size + 4
    assert found["mini"] == 2 * 256 * size + 4


@pytest.mark.parametrize("name", EITHER)
def test_a_model_learns(name):
    torch.manual_seed(0)
    teacher, model = (
        nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 8)) for _ in range(2)
    )
    lr = {"galore": 3e-2, "apollo": 1e-2, "mini": 1e-2}[name]
    transforms = {"galore": GaLore(4, 20), "apollo": APOLLO(4, 20), "mini": APOLLOMini(1, 20)}
    optimizer = schuss.AdamW(model.parameters(), lr=lr, transforms=[transforms[name]])
    losses = []
    for _ in range(200):
        x = torch.randn(64, 16)
        loss = (model(x) - teacher(x).detach()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.2 * sum(losses[:10])


@pytest.mark.parametrize("name", EITHER)
def test_matrices_run_in_kernels_and_functions(name):
    params = [nn.Parameter(random(*shape)) for shape in ((8, 12), (12, 8), (9, 9)) for _ in "ab"]
    for param in params:
        param.grad = random(*param.shape, seed=1)
    optimizer = schuss.AdamW(params, transforms=[EITHER[name]])
    assert {cohort.engine for cohort in optimizer.explain().cohorts} == {"fused"}
    assert repr(EITHER[name]) + " -> AdamW" in repr(optimizer)


def test_the_rank_is_that_with_which_a_state_begins():
    for transform, key in ((GaLore(2), "galore_rank"), (APOLLO(2), "apollo_rank")):
        param = nn.Parameter(random(6, 8))
        optimizer = schuss.AdamW([param], transforms=[transform])
        for rank in (2, 3, None):
            optimizer.param_groups[0][key] = rank
            param.grad = random(6, 8)
            optimizer.step()
            assert optimizer.state[param]["exp_avg"].shape == (2, 8)


def test_projections_are_of_one_transform():
    with pytest.raises(ValueError, match="which both decide which gradient the rule sees"):
        schuss.AdamW([nn.Parameter(torch.zeros(3, 3))], transforms=[GaLore(2), APOLLO(2)])


REFUSED = {
    "lamb": "it projects the gradient, and the rule reads the parameter (Tensor.norm)",
    "stableadamw": "the rule reads the parameter (torch.add)",
    "dog": "the rule needs sums over whole gradients",
    "ldog": "the rule reads the parameter (Tensor.detach)",
    "dadaptadam": "the rule needs sums over whole gradients",
    "sophia": "the rule is given a Hessian that is not projected",
    "adahessian": "the rule is given a Hessian that is not projected",
    "sgdschedulefree": "has a step_param of its own, and no update that GaLore",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_rule_that_needs_more_than_the_gradient_is_refused_at_once(name):
    with pytest.raises(TypeError) as error:
        schuss.create_optimizer(name, [nn.Parameter(torch.zeros(6, 6))], transforms=[GaLore(2)])
    assert REFUSED[name] in str(error.value)


@pytest.mark.parametrize("engine", [{"foreach": False}, {"fused": True}], ids=["loop", "fused"])
def test_a_rule_that_comes_to_need_the_parameter_is_refused_then(engine):
    param = nn.Parameter(random(6, 8))
    options = {"weight_decay": 0.0, "transforms": [GaLore(2)], **engine}
    optimizer = schuss.StableAdamW([param], **options)
    param.grad = random(6, 8)
    optimizer.step()
    before = param.detach().clone()
    optimizer.param_groups[0]["weight_decay"] = 0.1
    with pytest.raises((TypeError, RuntimeError), match="the rule reads the parameter"):
        optimizer.step()
    assert torch.equal(param, before)


class Reading(schuss.Optimizer):
    lr: float = schuss.rate(default=0.1)
    read: ClassVar[Callable[..., torch.Tensor]]

    def update(self, state, group, grad, param):
        return self.read(grad, param)


READ = {
    "operator": lambda grad, param: grad + param,
    "reflected": lambda grad, param: param * 2.0 + grad,
    "item": lambda grad, param: grad * param[0],
    "method": lambda grad, param: grad * param.abs().mean(),
    "function": lambda grad, param: torch.where(param > 0, grad, grad),
    "in place": lambda grad, param: param.add_(grad),
    "argument": lambda grad, param: grad.lerp(param, 0.5),
}


@pytest.mark.parametrize("way", READ)
def test_a_parameter_cannot_be_read_in_any_way(way):
    rule = type("Rule", (Reading,), {"read": staticmethod(READ[way])})
    with pytest.raises(TypeError, match="the rule reads the parameter"):
        rule([nn.Parameter(torch.zeros(6, 6))], transforms=[GaLore(2)])


def test_a_rule_may_know_all_but_the_numbers():
    seen = []

    def read(grad, param):
        about = param.shape, param.dim(), param.dtype, param.device, len(param), param.numel()
        seen.append(about)
        return grad + torch.zeros_like(param) + param.new_zeros(param.shape)

    rule = type("Rule", (Reading,), {"read": staticmethod(read)})
    param = nn.Parameter(random(6, 8))
    param.grad = random(6, 8)
    rule([param], transforms=[GaLore(2)], foreach=False).step()
    assert seen[-1] == ((2, 8), 2, torch.float64, torch.device("cpu"), 2, 16)


def test_complex_matrices_are_refused():
    param = nn.Parameter(torch.zeros(6, 6, dtype=torch.complex64))
    for transform, key in ((GaLore(2), "galore_rank"), (APOLLO(2), "apollo_rank")):
        with pytest.raises(TypeError, match=f"a complex matrix, .*; set {key}=None in its group"):
            schuss.AdamW([param], transforms=[transform])
        schuss.AdamW([{"params": [param], key: None}], transforms=[transform])


def test_gradients_that_are_held_back_are_projected_when_they_are_used():
    grads = [random(6, 8, seed=seed) for seed in range(4)]
    params = [nn.Parameter(torch.zeros_like(grads[0])) for _ in range(2)]
    held = schuss.AdamW(params[:1], transforms=[schuss.Accumulate(2), GaLore(2)])
    plain = schuss.AdamW(params[1:], transforms=[GaLore(2)])
    for number, grad in enumerate(grads):
        params[0].grad = grad.clone()
        held.step()
        if number % 2:
            params[1].grad = (grads[number - 1] + grad) / 2
            plain.step()
    assert torch.allclose(*params)


def test_a_part_of_a_composite_may_be_projected():
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    hidden = schuss.AdamW(lr=0.01, transforms=[GaLore(2)])
    optimizer = schuss.Composite(model, hidden=hidden, rest=schuss.AdamW(lr=0.01))
    model(torch.randn(4, 8)).square().sum().backward()
    optimizer.step()
    shapes = [tuple(optimizer.state[param]["exp_avg"].shape) for param in model.parameters()]
    assert shapes == [(2, 8), (6,), (6, 2), (6,), (3, 6), (3,)]
    assert optimizer.projects()  # so that the graph of torch.compile breaks around the step
    assert not schuss.Composite(model, hidden=schuss.AdamW(), rest=schuss.AdamW()).projects()


def test_defaults_are_those_of_the_authors():
    assert list(GaLore().defaults().values()) == [128, 200, 0.25]
    assert list(APOLLO().defaults().values()) == [128, 200, 1.0, "channel", 1.01, 0]
    assert list(APOLLOMini().defaults().values()) == [1, 200, 128.0, "tensor", 1.01, 0]

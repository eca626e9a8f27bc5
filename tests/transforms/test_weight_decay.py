from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import schuss
from schuss import L1Decay, WeightDecay
from schuss.domains import at_least
from tests.algorithms import EVERY, fitting

GRAD = torch.tensor([1.0, 1.0])


def decayed(decay: WeightDecay, **group: object) -> tuple[list[float], list[float]]:
    """Return (2, -1) and its gradient, decayed once with a learning rate of 0.5."""
    param = torch.tensor([2.0, -1.0])
    grad = decay(param, GRAD, {"lr": 0.5, **decay.defaults(), **group})
    return param.tolist(), grad.tolist()


@pytest.mark.parametrize(
    ("decay", "param", "grad"),
    [
        (WeightDecay(), [2.0, -1.0], [1.0, 1.0]),
        # 1 - 0.5 * 0.25 = 0.875
        (WeightDecay(0.25), [1.75, -0.875], [1.0, 1.0]),
        # 1 - 0.25 = 0.75
        (WeightDecay(0.25, absolute=True), [1.5, -0.75], [1.0, 1.0]),
        # 1 + 0.25 * (2, -1)
        (WeightDecay(0.25, weight_decouple=False), [2.0, -1.0], [1.5, 0.75]),
        # towards zero by 0.5 * 0.25
        (L1Decay(0.25), [1.875, -0.875], [1.0, 1.0]),
        (L1Decay(0.25, absolute=True), [1.75, -0.75], [1.0, 1.0]),
        # 1 + 0.25 * (1, -1)
        (L1Decay(0.25, weight_decouple=False), [2.0, -1.0], [1.25, 0.75]),
        # -1 is within 1.5 of zero
        (L1Decay(3.0), [0.5, 0.0], [1.0, 1.0]),
    ],
    ids=repr,
)
def test_each_way_to_decay_worked_by_hand(decay, param, grad):
    assert decayed(decay) == (param, grad)
    assert GRAD.tolist() == [1.0, 1.0]


def test_all_three_switches_are_hyperparameters_of_the_group():
    assert WeightDecay(0.25, False, True).defaults() == {
        "weight_decay": 0.25,
        "decoupled_weight_decay": False,
        "absolute_weight_decay": True,
    }
    assert decayed(WeightDecay(0.25), absolute_weight_decay=True) == decayed(
        WeightDecay(0.25, absolute=True)
    )
    assert decayed(WeightDecay(0.25), decoupled_weight_decay=False) == decayed(
        WeightDecay(0.25, weight_decouple=False)
    )
    optimizer = schuss.Adam(
        [nn.Parameter(torch.ones(1))], weight_decay=WeightDecay(0.25, False, True)
    )
    (saved,) = optimizer.state_dict()["param_groups"]
    assert WeightDecay(0.25, False, True).defaults().items() <= saved.items()


def test_a_group_that_only_knows_the_coefficient_is_decayed_as_the_object_says():
    param = torch.tensor([2.0])
    WeightDecay(0.1, absolute=True)(param, torch.zeros(1), {"lr": 0.5, "weight_decay": 0.25})
    assert param.tolist() == [1.5]


@pytest.mark.parametrize("decay", [WeightDecay, L1Decay])
@pytest.mark.parametrize("decouple", [False, True])
def test_a_decay_of_zero_touches_nothing(decay, decouple):
    param = torch.tensor([2.0])
    version = param._version
    grad = decay(0.0, decouple)(param, GRAD, {"lr": 0.5, "weight_decay": 0.0})
    assert grad is GRAD
    assert param._version == version


@pytest.mark.parametrize("decay", [WeightDecay, L1Decay])
def test_a_negative_coefficient_is_refused(decay):
    with pytest.raises(ValueError, match="Invalid weight_decay value: -0.1"):
        decay(-0.1)
    with pytest.raises(ValueError, match="Invalid weight_decay value: -0.1"):
        schuss.Adam([{"params": [nn.Parameter(torch.ones(1))], "weight_decay": -0.1}])


@pytest.mark.parametrize("name", ["weight_decouple", "absolute"])
def test_a_group_that_uses_the_name_of_an_argument_is_told_the_right_one(name):
    group = {"params": [nn.Parameter(torch.ones(1))], name: True}
    with pytest.raises(ValueError, match=f"has {name!r}; it is called"):
        schuss.Adam([group])


def test_a_group_may_have_a_decay_object_of_its_own_of_the_same_kind():
    params = [nn.Parameter(torch.ones(1)) for _ in range(2)]
    groups = [
        {"params": params[:1]},
        {"params": params[1:], "weight_decay": WeightDecay(0.5, absolute=True)},
    ]
    optimizer = schuss.SGD(groups, lr=1.0, weight_decay=WeightDecay(0.25))
    for param in params:
        param.grad = torch.zeros(1)
    optimizer.step()
    assert [param.item() for param in params] == [0.75, 0.5]
    with pytest.raises(TypeError, match=r"asks for L1Decay.*decays by WeightDecay"):
        optimizer.add_param_group(
            {"params": nn.Parameter(torch.ones(1)), "weight_decay": L1Decay(1)}
        )


# Norms of weights, and means of points that were visited, see the weight.
SEEING = (
    "adafactor",
    "dadaptsgd",
    "lamb",
    "lars",
    "madgrad",
    "sgdschedulefree",
    "adamwschedulefree",
    "radamschedulefree",
    "gpa",
)


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("name", [name for name in EVERY if name not in SEEING])
def test_swapping_in_l1_decay_changes_no_optimizer(name):
    """A decay that acts on the weight alone commutes with an update that does not see it."""
    lr = 0.125
    start, grad = (fitting(name, torch.tensor(x)) for x in ([2.0, -1.0], [1.0, 1.0]))
    with_decay, without = (nn.Parameter(start.clone()) for _ in range(2))
    decaying = schuss.create_optimizer(
        name, [with_decay], lr=lr, weight_decay=L1Decay(0.25, absolute=True)
    )
    plain = schuss.create_optimizer(name, [without], lr=lr, weight_decay=0.0)
    with_decay.grad = without.grad = grad
    decaying.step()
    plain.step()
    expected = without + torch.tensor([-0.25, 0.25])
    torch.testing.assert_close(with_decay, expected)


def test_l1_decay_puts_useless_weights_at_zero_and_l2_decay_does_not():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 8, generator=generator)
    y = x[:, 0] * 2 + torch.randn(256, generator=generator)
    useless = {}
    for decay in (WeightDecay(0.2), L1Decay(0.2)):
        weight = nn.Parameter(torch.randn(8, generator=generator))
        optimizer = schuss.SGD([weight], lr=0.01, weight_decay=decay)
        for _ in range(1000):
            optimizer.zero_grad()
            (x @ weight - y).square().mean().backward()
            optimizer.step()
        useless[type(decay)] = weight[1:].abs().max().item()
        assert weight[0] > 1.5
    # The noise pulls at each weight with about 2 / 16; the gradient moves it by 0.01 times that
    # after it was decayed to zero.
    assert useless[L1Decay] < 0.01 * 0.2
    assert useless[WeightDecay] > 0.05


class Declared(WeightDecay):
    floor: float = schuss.hyper("", "weights below it stay", at_least(0), default=0.25)


class WithConstructor(WeightDecay):
    def __init__(self, coefficient):
        super().__init__(coefficient, absolute=True)


@pytest.mark.parametrize(
    ("decay", "more"), [(Declared(0.5, absolute=True), {"floor": 0.25}), (WithConstructor(0.5), {})]
)
def test_a_decay_of_ones_own_declares_what_it_takes_or_has_a_constructor(decay, more):
    assert decay.defaults() == {**WeightDecay(0.5, absolute=True).defaults(), **more}
    param = torch.tensor([2.0])
    decay(param, torch.zeros(1), {"lr": 1.0, **decay.defaults()})
    assert param.tolist() == [1.0]
    assert copy.deepcopy(decay).defaults() == decay.defaults()


def test_an_argument_that_no_decay_has_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'lambd'; it takes weight_de"):
        L1Decay(lambd=0.5)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="floor"):
        Declared(0.5, floor=-1)

"""Weights to evaluate with, where they are not those that are trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import schuss
from schuss import EMA, AdamW, AdamWScheduleFree, Optimizer, SGDScheduleFree
from schuss.evaluation import Evaluation
from schuss.storage import master

CREATE: dict[str, Callable[[Any], Optimizer]] = {
    "mean": lambda params: AdamW(params, lr=1e-2, transforms=[EMA(0.9)]),
    "schedule-free": lambda params: AdamWScheduleFree(params, lr=1e-2),
}


def digits() -> tuple[Tensor, Tensor]:
    data = load_digits()
    return torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)


def trained(
    model: nn.Module, optimizer: Optimizer, steps: range, dtype: torch.dtype = torch.float32
) -> None:
    images, labels = digits()
    for step in steps:
        batch = torch.randint(len(labels), (16,), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        cross_entropy(model(images[batch].to(dtype)), labels[batch]).backward()
        optimizer.step()


def loss(model: nn.Module) -> float:
    images, labels = digits()
    with torch.no_grad():
        return float(cross_entropy(model(images), labels))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([param.detach().flatten() for param in model.parameters()])


def test_the_mean_is_better_than_the_last_point():
    torch.manual_seed(0)
    model = nn.Linear(64, 10)
    optimizer = AdamW(model.parameters(), lr=0.1, transforms=[EMA(0.9)])
    trained(model, optimizer, range(300))
    with optimizer.evaluating():
        evaluated = loss(model)
    assert evaluated < 0.9 * loss(model)


def test_the_mean_of_all_points_is_better_than_the_last_point():
    torch.manual_seed(0)
    model = nn.Linear(64, 10)
    optimizer = AdamWScheduleFree(model.parameters(), lr=0.1)
    trained(model, optimizer, range(300))
    with optimizer.evaluating():
        evaluated = loss(model)
    with torch.no_grad():
        for param in model.parameters():
            param.copy_(optimizer.state[param]["z"])
    assert evaluated < 0.9 * loss(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CREATE)
def test_what_is_trained_returns_whatever_happens(case, dtype):
    model = nn.Linear(64, 10).to(dtype)
    optimizer = CREATE[case](model.parameters())
    trained(model, optimizer, range(3), dtype)
    before = weights(model)
    with optimizer.evaluating(), optimizer.evaluating():
        inside = weights(model)
    assert not torch.equal(inside, before)
    assert torch.equal(weights(model), before)
    with pytest.raises(KeyboardInterrupt), optimizer.evaluating():
        raise KeyboardInterrupt
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("case", CREATE)
def test_a_step_within_is_refused(case):
    model = nn.Linear(64, 10)
    optimizer = CREATE[case](model.parameters())
    trained(model, optimizer, range(3))
    with optimizer.evaluating():
        with pytest.raises(RuntimeError, match="cannot step while evaluating"):
            optimizer.step()
        with pytest.raises(RuntimeError, match="cannot load a state while evaluating"):
            optimizer.load_state_dict(optimizer.state_dict())
    trained(model, optimizer, range(3, 4))


@pytest.mark.parametrize("master_weights", [False, True])
@pytest.mark.parametrize("evaluating", [False, True])
@pytest.mark.parametrize("case", CREATE)
def test_a_checkpoint_continues_bit_for_bit_wherever_it_was_taken(case, evaluating, master_weights):
    dtype = torch.bfloat16 if master_weights else torch.float32
    torch.manual_seed(0)
    model = nn.Linear(64, 10).to(dtype)

    def create(model: nn.Module) -> Optimizer:
        return CREATE[case]([{"params": model.parameters(), "master_weights": master_weights}])

    optimizer = create(model)
    trained(model, optimizer, range(5), dtype)
    if evaluating:
        with optimizer.evaluating():
            saved = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    else:
        saved = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    trained(model, optimizer, range(5, 10), dtype)

    again = nn.Linear(64, 10).to(dtype)
    resumed = create(again)
    again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    trained(again, resumed, range(5, 10), dtype)
    assert torch.equal(weights(again), weights(model))
    with optimizer.evaluating(), resumed.evaluating():
        assert torch.equal(weights(again), weights(model))


@pytest.mark.parametrize("case", CREATE)
def test_eval_and_train_do_what_entering_and_leaving_do(case):
    model = nn.Linear(64, 10)
    optimizer = CREATE[case](model.parameters())
    trained(model, optimizer, range(3))
    before = weights(model)
    with optimizer.evaluating():
        evaluated = weights(model)
    assert not torch.equal(evaluated, before)
    for _ in range(2):
        optimizer.eval()
        assert torch.equal(weights(model), evaluated)
    with pytest.raises(RuntimeError, match=r"call `optimizer.train\(\)` first"):
        optimizer.step()
    for _ in range(2):
        optimizer.train()
        assert torch.equal(weights(model), before)
    trained(model, optimizer, range(3, 4))


def test_to_load_the_model_and_then_the_optimizer_ends_evaluating():
    model, other = nn.Linear(64, 10), nn.Linear(64, 10)
    optimizer, theirs = (CREATE["mean"](each.parameters()) for each in (model, other))
    trained(model, optimizer, range(3))
    trained(other, theirs, range(5))
    optimizer.eval()
    model.load_state_dict(other.state_dict())
    optimizer.load_state_dict(theirs.state_dict())
    optimizer.train()
    for each, of_it in ((model, optimizer), (other, theirs)):
        trained(each, of_it, range(5, 7))
    assert torch.equal(weights(model), weights(other))


def test_leaving_returns_to_the_mode_that_was_entered_from():
    model = nn.Linear(64, 10)
    optimizer = CREATE["mean"](model.parameters())
    trained(model, optimizer, range(3))
    before = weights(model)
    optimizer.eval()
    evaluated = weights(model)
    with optimizer.evaluating():
        optimizer.train()
        assert torch.equal(weights(model), before)
    assert torch.equal(weights(model), evaluated)
    optimizer.train()
    with optimizer.evaluating():
        optimizer.train()
        optimizer.eval()
    assert torch.equal(weights(model), before)


def test_a_step_is_refused_before_there_is_anything_to_evaluate():
    model = nn.Linear(64, 10)
    optimizer = CREATE["schedule-free"](model.parameters())
    optimizer.eval()
    with pytest.raises(RuntimeError, match="cannot step while evaluating"):
        trained(model, optimizer, range(1))
    optimizer.train()
    trained(model, optimizer, range(1))


def test_weights_that_cannot_be_computed_leave_all_as_it_was():
    class Fails(EMA):
        def evaluated(self, state, group, param):
            if param.dim() == 1:
                raise MemoryError
            return super().evaluated(state, group, param)

    model = nn.Linear(64, 10)
    optimizer = AdamW(model.parameters(), transforms=[Fails(0.5)])
    trained(model, optimizer, range(3))
    before = weights(model)
    with pytest.raises(MemoryError):
        optimizer.eval()
    assert torch.equal(weights(model), before)
    trained(model, optimizer, range(3, 4))


def test_without_other_weights_it_does_nothing():
    model = nn.Linear(64, 10)
    optimizer = AdamW(model.parameters())
    trained(model, optimizer, range(2))
    before = weights(model)
    with optimizer.evaluating():
        assert torch.equal(weights(model), before)
        trained(model, optimizer, range(2, 3))
    assert not torch.equal(weights(model), before)
    optimizer.eval()
    trained(model, optimizer, range(3, 4))


def test_a_parameter_that_was_not_stepped_yet_stays():
    params = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    params[0].grad = torch.ones(2)
    optimizer = SGDScheduleFree(params)
    optimizer.step()
    with optimizer.evaluating():
        assert torch.equal(params[1], torch.ones(2))


def test_complex_weights_are_swapped_too():
    param = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    optimizer = schuss.AdamWScheduleFree([param], lr=0.1)
    for _ in range(2):
        param.grad = torch.full_like(param, 1 + 1j)
        optimizer.step()
    z = optimizer.state[param]["z"]
    before = param.detach().clone()
    with optimizer.evaluating():
        assert torch.allclose(0.9 * param + 0.1 * z, before)
    assert torch.equal(param, before)


# By itself, without an optimizer


class Doubling:
    """The owner of two parameters, which are evaluated with twice of what is trained."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.params = [torch.tensor([1.0], dtype=dtype), torch.tensor([3.0], dtype=dtype)]
        self.param_groups = [{"params": [param]} for param in self.params]
        self.state: dict[Tensor, Any] = {self.params[1]: {"step": 1}}
        self.seen: list[Any] = []

    def algorithm_of(self, group):
        return self

    def evaluated(self, state, group, param):
        self.seen.append((param.dtype, param.item()))
        return param * 2

    def weights(self) -> list[float]:
        return [param.item() for param in self.params]


def test_parameters_that_have_a_state_are_evaluated_with_others_until_the_end():
    owner, evaluation = Doubling(), Evaluation()
    evaluation.begin(owner)
    assert (evaluation.is_on, owner.weights()) == (True, [1.0, 6.0])
    assert [weight.item() for weight in evaluation.trained.values()] == [3.0]
    with pytest.raises(RuntimeError, match="Doubling cannot step while evaluating"):
        evaluation.check_training(owner)
    evaluation.end()
    assert (evaluation.is_on, owner.weights()) == (False, [1.0, 3.0])
    assert not evaluation.trained
    evaluation.check_training(owner)


def test_weights_that_cannot_be_made_leave_the_parameters_as_they_were():
    class Failing(Doubling):
        def evaluated(self, state, group, param):
            if param.item() == 1.0:
                raise MemoryError
            return param * 2

    owner, evaluation = Failing(), Evaluation()
    owner.state[owner.params[0]] = {"step": 1}
    owner.param_groups.reverse()
    with pytest.raises(MemoryError):
        evaluation.begin(owner)
    assert owner.weights() == [1.0, 3.0]
    assert not evaluation.is_on


def test_a_state_is_loaded_while_evaluating_only_after_the_model():
    owner, evaluation = Doubling(), Evaluation()
    evaluation.check_loading(owner)
    evaluation.begin(owner)
    with pytest.raises(RuntimeError, match="Doubling cannot load a state while evaluating"):
        evaluation.check_loading(owner)
    owner.params[1].fill_(7.0)
    evaluation.check_loading(owner)
    evaluation.forget()
    assert owner.weights() == [1.0, 7.0]
    assert not evaluation.is_on


def test_weights_in_half_precision_are_evaluated_as_floats_and_from_their_masters():
    owner = Doubling(torch.bfloat16)
    owner.state[owner.params[1]][master.REMAINDER] = torch.tensor([-(2**14)], dtype=torch.int16)
    owner.state[owner.params[0]] = {"step": 1}
    Evaluation().begin(owner)
    # Above 2, numbers of bfloat16 are 1/64 apart; -2**14 is a quarter of that.
    assert owner.seen == [(torch.float32, 1.0), (torch.float32, 3.0 - 1 / 256)]
    assert owner.weights() == [2.0, 6.0]

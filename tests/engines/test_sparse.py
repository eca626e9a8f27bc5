"""Sparse gradients: torch.optim's SGD and Adagrad take them, and so do ours, on the loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss import EMA, SGD, Adagrad, ClipByGlobalNorm, Optimizer

PAIRS: dict[str, tuple[Any, Any]] = {
    "sgd": (SGD, torch.optim.SGD),
    "adagrad": (Adagrad, torch.optim.Adagrad),
}
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {}),
    ("sgd", {"momentum": 0.9, "dampening": 0.5, "maximize": True}),
    ("sgd", {"momentum": 0.9, "nesterov": True, "lr": torch.tensor(0.1)}),
    ("adagrad", {}),
    ("adagrad", {"lr_decay": 0.1, "maximize": True, "initial_accumulator_value": 0.1}),
]
# Of torch's own Adagrad, which does not opt out.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")


class Words(nn.Module):
    """An embedding of ten words, and what dense parameters follow."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(10, 3, sparse=True)
        self.dense = nn.Linear(3, 2)

    def learn(self, optimizer: torch.optim.Optimizer, steps: range) -> Tensor:
        for step in steps:
            optimizer.zero_grad()
            self.backward(step)
            optimizer.step()
        return torch.cat([param.detach().flatten() for param in self.parameters()])

    def backward(self, step: int) -> None:
        text = torch.tensor([step % 10, step % 10, (step + 1) % 10])  # a word twice
        self.dense(self.words(text)).sum(dim=1).tanh().sum().backward()


def learned(create: Callable[[Any], torch.optim.Optimizer], steps: int = 5) -> Tensor:
    words = Words()
    return words.learn(create(words.parameters()), range(steps))


@pytest.mark.parametrize(("name", "options"), SETTINGS)
def test_sparse_gradients_step_as_torchs(name: str, options: dict[str, Any]) -> None:
    settings = {"lr": 0.1, **options}
    ours, theirs = (learned(partial(create, **settings)) for create in PAIRS[name])
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)  # of a few roundings
    assert not torch.equal(ours, learned(lambda params: SGD(params, lr=0.0)))


def test_words_that_did_not_occur_stay_as_they_are() -> None:
    words = Words()
    before = words.words.weight.detach().clone()
    words.learn(Adagrad(words.parameters(), lr=0.1), range(2))
    moved = (words.words.weight != before).any(dim=1)
    assert moved.tolist() == [True] * 3 + [False] * 7


def test_dense_parameters_keep_their_engine_and_the_reason_is_told() -> None:
    words = Words()
    optimizer = SGD(words.parameters(), lr=0.1, momentum=0.9)
    words.learn(optimizer, range(3))
    sparse, dense = optimizer.explain().cohorts
    assert (sparse.engine, sparse.parameters) == ("loop", 1)
    assert sparse.reason == "their gradients are sparse"
    assert (dense.engine, dense.parameters) == ("fused", 2)


def test_gradients_may_become_sparse_and_dense_again() -> None:
    ends = []
    for create in PAIRS["adagrad"]:
        words = Words()
        optimizer = create(words.parameters(), lr=0.1)
        for sparse in (False, False, False, True, True, False, False):
            words.words.sparse = sparse
            end = words.learn(optimizer, range(2))
        ends.append(end)
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-7)  # of a few roundings


def test_sparse_momentum_becomes_dense_with_the_first_dense_gradient() -> None:
    weight = nn.Parameter(torch.zeros(2, 1))
    optimizer = SGD([weight], lr=1.0, momentum=0.5, foreach=False)
    weight.grad = torch.sparse_coo_tensor([[1]], [[4.0]], (2, 1), check_invariants=True)
    optimizer.step()
    weight.grad = torch.ones(2, 1)
    optimizer.step()
    # The second: 4 + (4 / 2 + 1). torch.optim adds a dense gradient to a sparse buffer, and raises.
    assert weight.flatten().tolist() == [-1.0, -7.0]


def test_a_checkpoint_with_sparse_momentum_continues_bit_for_bit() -> None:
    def create(params: Any) -> Optimizer:
        return SGD(params, lr=0.1, momentum=0.9)

    words, again = Words(), Words()
    optimizer, resumed = create(words.parameters()), create(again.parameters())
    words.learn(optimizer, range(3))
    again.load_state_dict(words.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    assert torch.equal(again.learn(resumed, range(3, 6)), words.learn(optimizer, range(3, 6)))


@pytest.mark.parametrize("name", PAIRS)
def test_a_grad_scaler_and_half_precision_take_them_too(name: str) -> None:
    ends = []
    for scale in (None, 1024.0):
        words = Words().half()
        optimizer = PAIRS[name][0](words.parameters(), lr=0.5)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
        for step in range(3):
            optimizer.zero_grad()
            text = torch.tensor([step, step, step + 1])
            scaler.scale(words.words(text).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        ends.append(words.words.weight.detach())
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], Words().half().words.weight)


class Steeper(SGD):
    """A rule of its own, which nobody asked about sparse gradients."""

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Tensor:
        return grad.exp()


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (Steeper, "does not support sparse gradients, please consider SparseAdam instead"),
        (lambda p: SGD(p, weight_decay=0.1), "weight_decay=0.1 is not compatible with sparse"),
        (lambda p: SGD(p, fused=True), "fused=True is not for sparse gradients; leave it out"),
        (lambda p: SGD(p, foreach=True), "foreach=True is not for sparse gradients"),
        (
            lambda p: SGD(p, transforms=[ClipByGlobalNorm(0.5)]),
            r"ClipByGlobalNorm(max_grad_norm=0.5) does not support sparse gradients; leave it out",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(create: Any, message: str) -> None:
    words = Words()
    optimizer = create(words.parameters())
    before = [param.detach().clone() for param in words.parameters()]
    words.backward(0)
    with pytest.raises(RuntimeError, match=r"Embedding\(sparse=False\)") as error:
        optimizer.step()
    assert message in str(error.value)
    assert all(map(torch.equal, words.parameters(), before))
    assert not any(optimizer.state.values())


def test_decoupled_decay_and_means_of_weights_are_for_sparse_gradients_too() -> None:
    decay = schuss.WeightDecay(0.5, weight_decouple=True)
    words = Words()
    optimizer = SGD(words.parameters(), lr=0.1, weight_decay=decay, transforms=[EMA(0.5)])
    before = words.words.weight[5].detach().clone()
    words.learn(optimizer, range(1))
    # A word that did not occur: 1 - 0.1 * 0.5, and half of that way for the mean.
    torch.testing.assert_close(words.words.weight[5], before * 0.95)
    torch.testing.assert_close(optimizer.state[words.words.weight]["ema"][5], before * 0.975)

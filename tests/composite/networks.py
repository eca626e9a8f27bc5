"""A small network with parameters of several roles, and steps on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

WORDS = 20


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Return a classifier of pairs of words, with the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Embedding(WORDS, 8), nn.Flatten(), nn.Linear(16, 12), nn.LayerNorm(12)]
        return nn.Sequential(*layers, nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 7)).to(dtype)


HIDDEN = ["2.weight", "4.weight"]
"""The names of the matrices within the network."""


def divided(model: nn.Module) -> tuple[list[tuple[str, Tensor]], list[tuple[str, Tensor]]]:
    """Return the matrices within the network, and its other parameters."""
    named = list(model.named_parameters())
    return [x for x in named if x[0] in HIDDEN], [x for x in named if x[0] not in HIDDEN]


def train(
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    steps: int = 5,
    seed: int = 1,
    before_step: Callable[[], object] = lambda: None,
) -> None:
    """Train on data that the seed determines."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        words = torch.randint(0, WORDS, (16, 2), generator=generator)
        model.zero_grad()
        cross_entropy(model(words).float(), words[:, 0] % 7).backward()
        before_step()
        for optimizer in optimizers:
            optimizer.step()


def weights(model: nn.Module) -> list[Tensor]:
    """Return copies of the parameters."""
    return [param.detach().clone() for param in model.parameters()]


def same(one: nn.Module, other: nn.Module) -> bool:
    """Tell whether two networks have the same weights, bit for bit."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)

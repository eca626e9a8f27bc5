"""A small transformer that reads characters and predicts the next one."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

WIDTH: Final = 128
HEADS: Final = 4
LAYERS: Final = 5
LENGTH: Final = 64
"""Characters that it sees at a time."""


class Layer(nn.Module):
    """Attention to the characters before, and a network of two layers, each added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH, bias=False)
        self.merge = nn.Linear(WIDTH, WIDTH, bias=False)
        self.network_norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors of the next layer, of the same shape (batch, length, width)."""
        normed = self.attention_norm(x)
        q, k, v = (
            project(normed).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        attended = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.merge(attended.transpose(1, 2).flatten(-2))
        narrowed: Tensor = self.narrow(self.widen(self.network_norm(x)).relu())
        return x + narrowed


class Transformer(nn.Module):
    """A transformer of a million parameters.

    Takes characters as numbers, of shape (batch, length), and returns logits of the character
    after each, of shape (batch, length, characters), in float32 whatever the weights are in.

    Args:
        characters: How many characters there are.

    Example:
        >>> sum(param.numel() for param in Transformer(100).parameters())
        1019648
        >>> Transformer(100)(torch.zeros(2, LENGTH, dtype=torch.int64)).shape
        torch.Size([2, 64, 100])
    """

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, WIDTH)
        self.position = nn.Embedding(LENGTH, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.output = nn.Linear(WIDTH, characters, bias=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the logits of the character after each."""
        places = torch.arange(numbers.shape[1], device=numbers.device)
        x = self.layers(self.embedding(numbers) + self.position(places))
        logits: Tensor = self.output(self.norm(x))
        return logits.float()


def seeded_transformer(characters: int, seed: int) -> Transformer:
    """Return a transformer whose weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Transformer(characters)

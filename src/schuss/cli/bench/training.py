"""The workloads of `schuss bench loop`: forward, backward and step, on real batches.

Between steps of the optimizer the machine does what it does in training: gradients come to lie
elsewhere, the caches are full of activations, and torch's threads have just been at work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from schuss.cli.bench.cases import Case
from schuss.cli.bench.contenders import CONTENDERS, FLOOR, OUR_ADAMW, TORCH_COMPILE
from schuss.cli.mnist.model import seeded_model

_SEED: Final = 0

_IMAGES: Final = 64  # in a batch, as `schuss mnist`

_TOKENS: Final = 1024  # that there are
_WIDTH: Final = 256
_LAYERS: Final = 4
_HEADS: Final = 4
_LENGTH: Final = 64
_SEQUENCES: Final = 8  # in a batch


class Transformer(nn.Module):
    """A small transformer that predicts the next token.

    Takes tokens of shape (batch, length) and returns logits of shape (batch, length, tokens).

    Example:
        >>> sum(param.numel() for param in Transformer().parameters())
        3700736
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(_TOKENS, _WIDTH)
        self.position = nn.Parameter(torch.zeros(_LENGTH, _WIDTH))
        layer = nn.TransformerEncoderLayer(
            _WIDTH, _HEADS, 4 * _WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)
        self.output = nn.Linear(_WIDTH, _TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of the token after each."""
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        hidden = self.layers(self.embedding(tokens) + self.position, mask=mask, is_causal=True)
        logits: Tensor = self.output(hidden)
        return logits


@dataclass(frozen=True)
class Training:
    """A model and its batches.

    Attributes:
        name: Its name on the command line.
        title: Its name in prose.
        model: Returns the model, every time with the same weights.
        batches: Returns the batches, to be used in turn.
    """

    name: str
    title: str
    model: Callable[[], nn.Module]
    batches: Callable[[], list[tuple[Tensor, Tensor]]]

    def numbers(self) -> int:
        """Return how many numbers the parameters hold together."""
        return sum(param.numel() for param in self.model().parameters())


def _seeded_transformer() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        return Transformer()


def _digits() -> list[tuple[Tensor, Tensor]]:
    from schuss.cli.mnist.datasets import load_digits  # which brings scikit-learn

    data = load_digits()
    images = (data.train_images.float() - data.mean) / data.deviation
    whole = len(images) // _IMAGES * _IMAGES
    batches = images[:whole].split(_IMAGES), data.train_labels[:whole].split(_IMAGES)
    return list(zip(*batches, strict=True))


def _token_batches() -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(_SEED)
    shape = (16, _SEQUENCES, _LENGTH + 1)
    tokens = torch.randint(_TOKENS, shape, generator=draw)
    return [(batch[:, :-1], batch[:, 1:].reshape(-1)) for batch in tokens]


TRAININGS: Final[Mapping[str, Training]] = {
    training.name: training
    for training in (
        Training("mnist", "MNIST CNN, 64 images", lambda: seeded_model(_SEED), _digits),
        Training(
            "transformer", "4 layers of width 256, 512 tokens", _seeded_transformer, _token_batches
        ),
    )
}
"""The trainings by name: the values of `--workload`."""


TRAINERS: Final = tuple(
    name for name in CONTENDERS if name not in (FLOOR, OUR_ADAMW, TORCH_COMPILE)
)
"""The contenders that can train."""


def training_step(training: Training, case: Case, name: str) -> Callable[[], object]:
    """Return a step of a training: forward, backward, and the step of an optimizer.

    Args:
        training: The model and its batches.
        case: The optimizer.
        name: The contender that implements it.

    Raises:
        NotAvailableError: The contender cannot take part.
    """
    model, batches, turns = training.model(), training.batches(), count()
    optimizer = CONTENDERS[name].build(list(model.parameters()), case)

    def step() -> None:
        inputs, targets = batches[next(turns) % len(batches)]
        cross_entropy(model(inputs).flatten(0, -2), targets).backward()
        optimizer.step()
        model.zero_grad(set_to_none=True)

    return step

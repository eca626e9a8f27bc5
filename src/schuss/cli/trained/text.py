"""The text of the task of characters: Python's own help, which comes with Python."""

from __future__ import annotations

from dataclasses import dataclass
from pydoc_data.topics import topics
from typing import Final

import torch
from torch import Tensor

HELD_OUT: Final = 10
"""The last one in so many characters is for testing."""


@dataclass(frozen=True)
class Text:
    """A text as numbers, of shape (n,) and type int64, in two parts.

    Attributes:
        characters: The characters, each in the place that its number says.
        train: The part to learn from.
        test: The part to test on, which follows.
    """

    characters: str
    train: Tensor
    test: Tensor


def load_text() -> Text:
    """Return what `help()` of Python knows of its topics, in the order of their names.

    Topics share paragraphs, of which each is there once: else the part to test on would repeat what
    was in the part to learn from. The text is that of the running version of Python.
    """
    whole = "\n\n".join(topics[name] for name in sorted(topics))
    text = "\n\n".join(dict.fromkeys(part for part in whole.split("\n\n") if part.strip()))
    characters = "".join(sorted(set(text)))
    numbers = {character: number for number, character in enumerate(characters)}
    return _cut(characters, torch.tensor([numbers[character] for character in text]))


def held_out(text: Text) -> Text:
    """Return the part to learn from alone, of which the end is for testing."""
    return _cut(text.characters, text.train)


def _cut(characters: str, numbers: Tensor) -> Text:
    kept = len(numbers) - len(numbers) // HELD_OUT
    return Text(characters, numbers[:kept], numbers[kept:])

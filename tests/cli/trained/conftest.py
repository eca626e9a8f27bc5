"""Tasks of little data."""

from dataclasses import replace

import pytest

from schuss.cli.mnist.datasets import Dataset, load_digits
from schuss.cli.trained import characters, images
from schuss.cli.trained.text import Text, load_text


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Leave 64 images to learn from, and 10 to test on."""
    data = load_digits()
    small = replace(
        data,
        train_images=data.train_images[:64],
        train_labels=data.train_labels[:64],
        test_images=data.test_images[:10],
        test_labels=data.test_labels[:10],
    )
    monkeypatch.setattr(images, "load_digits", lambda: small)
    return small


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> Text:
    """Leave 2,000 characters to learn from, 300 to test on, and 2 batches an epoch."""
    text = load_text()
    short = replace(text, train=text.train[:2000], test=text.test[:300])
    monkeypatch.setattr(characters, "load_text", lambda: short)
    monkeypatch.setattr(characters, "BATCHES", 2)
    return short

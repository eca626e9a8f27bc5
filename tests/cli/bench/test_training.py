"""Whole steps of training."""

from dataclasses import replace

import pytest
import torch

from schuss.cli.bench.contenders import CONTENDERS
from schuss.cli.bench.training import TRAINERS, TRAININGS, training_step
from tests.cli.bench.records import ADAMW


def test_neither_the_floor_nor_a_compiled_step_trains() -> None:
    assert set(CONTENDERS) - set(TRAINERS) == {"floor", "torch-compile", "schuss-adamw"}


@pytest.mark.parametrize("name", TRAININGS)
def test_models_and_batches_are_the_same_every_time(name: str) -> None:
    training = TRAININGS[name]
    models = training.model(), training.model()
    for param, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(param, other)
    for batch, again in zip(training.batches(), training.batches(), strict=True):
        assert all(torch.equal(*pair) for pair in zip(batch, again, strict=True))


def test_the_sizes_are_those_that_the_titles_tell() -> None:
    assert TRAININGS["mnist"].numbers() == 431_080
    assert TRAININGS["transformer"].numbers() == 3_700_736
    images, labels = TRAININGS["mnist"].batches()[0]
    assert (images.shape, labels.shape) == ((64, 1, 28, 28), (64,))
    tokens, following = TRAININGS["transformer"].batches()[0]
    assert tokens.numel() == 512
    assert torch.equal(tokens[:, 1:], following.view(tokens.shape)[:, :-1])


@pytest.mark.parametrize("contender", ["torch-fused", "schuss-fused"])
@pytest.mark.parametrize("name", TRAININGS)
def test_a_step_trains_and_leaves_no_gradient(name: str, contender: str) -> None:
    model, fresh = TRAININGS[name].model(), TRAININGS[name].model()
    step = training_step(replace(TRAININGS[name], model=lambda: model), ADAMW, contender)
    step()
    step()
    for param, before in zip(model.parameters(), fresh.parameters(), strict=True):
        assert param.grad is None
        assert not torch.equal(param, before)

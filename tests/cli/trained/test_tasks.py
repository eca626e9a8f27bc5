"""The tasks: what they show of their data, and that a seed decides all of an outcome."""

import time
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import torch

from schuss.cli.errors import DataFileError
from schuss.cli.mnist.datasets import Dataset, load_digits
from schuss.cli.trained import characters, images
from schuss.cli.trained.contenders import Contender
from schuss.cli.trained.images import held_out
from schuss.cli.trained.outcome import SWEEP_SEED, Outcome, Trial
from schuss.cli.trained.tasks import TASKS
from schuss.cli.trained.text import Text, load_text
from schuss.cli.trained.text import held_out as held_out_text
from schuss.cli.trained.transformer import LENGTH, seeded_transformer
from schuss.cli.trained.trials import train_one
from tests.cli.mnist import idxfiles

MUON = "muon:lr=0.02,rest='adamw:lr=3e-3'"


def trained(task: str, spec: str, *, seed: int = 0, epochs: int = 2) -> Outcome:
    return train_one(Trial(task, spec, spec, "constant", epochs, seed))


def test_a_sweep_sees_none_of_the_test_images(few: Dataset) -> None:
    data = TASKS["digits"].data(None, validation=True)
    assert (len(data.train_labels), len(data.test_labels)) == (52, 12)
    assert torch.equal(torch.cat([data.train_images, data.test_images]), few.train_images)


def test_a_sweep_sees_none_of_the_text_to_test_on(little: Text) -> None:
    data = TASKS["characters"].data(None, validation=True)
    assert (len(data.train), len(data.test)) == (1800, 200)
    assert torch.equal(torch.cat([data.train, data.test]), little.train)


def test_no_paragraph_is_in_both_parts_of_the_text() -> None:
    text = load_text()
    learned, tested = (
        {
            part
            for part in "".join(text.characters[n] for n in numbers.tolist()).split("\n\n")
            if part.strip()
        }
        for numbers in (text.train, text.test)
    )
    assert len(tested) > 100
    assert not learned & tested
    assert len(held_out_text(text).train) + len(held_out_text(text).test) == len(text.train)


def test_images_are_the_first_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LEARNED", 50)
    monkeypatch.setattr(images, "TESTED", 20)
    idxfiles.write(tmp_path / "data", idxfiles.contents(), zipped=True)
    data, whole = TASKS["images"].data(tmp_path / "data", validation=False), load_digits()
    assert torch.equal(data.train_images, whole.train_images[:50])
    assert torch.equal(data.train_labels, whole.train_labels[:50])
    assert torch.equal(data.test_images, whole.test_images[:20])
    assert TASKS["images"].batches(data) == 2
    assert len(TASKS["images"].data(tmp_path / "data", validation=True).test_labels) == 10
    with pytest.raises(DataFileError, match="no directory"):
        TASKS["images"].data(tmp_path / "none", validation=False)


def test_an_outcome_is_that_of_the_weights_to_evaluate_with(few: Dataset, little: Text) -> None:
    # A mean that keeps all of the past stays where it began.
    for task in ("digits", "characters"):
        kept = trained(task, "gpa:lr=0.1,eval_interp_coeff=1.0")
        began = trained(task, "sgd:lr=0.0")
        assert kept.train_loss == pytest.approx(began.train_loss)
        assert kept.test_curve == pytest.approx(began.test_curve)
        assert kept.curve != began.curve


@pytest.mark.parametrize("spec", ["adamw:lr=3e-3", MUON])
@pytest.mark.parametrize("task", ["digits", "characters"])
def test_a_seed_decides_all_of_an_outcome(task: str, spec: str, few: Dataset, little: Text) -> None:
    torch.rand(1)  # of torch's own generator nothing may depend
    first = trained(task, spec)
    assert trained(task, spec) == first
    other = trained(task, spec, seed=1)
    assert other.train_loss != first.train_loss
    assert other.curve != first.curve
    assert first.milliseconds > 0
    assert len(first.curve) == len(first.test_curve) == 2


def test_the_time_of_a_step_is_without_that_of_the_tests(
    few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count()
    monkeypatch.setattr(time, "process_time", lambda: next(seconds))
    # The clock is looked at after each of the 2 steps of an epoch, and once after the test.
    assert trained("digits", "sgd:lr=0.1").milliseconds == 1000


def test_a_seed_decides_what_batches_are_drawn(
    little: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_seed_0 = partial(seeded_transformer, seed=0)
    monkeypatch.setattr(characters, "seeded_transformer", lambda n, _: of_seed_0(n))
    first, second = (trained("characters", "sgd:lr=0.1", seed=seed) for seed in (0, 1))
    assert first.curve != second.curve


def test_characters_are_predicted_from_those_before_alone() -> None:
    model = seeded_transformer(10, seed=0)
    numbers = torch.arange(LENGTH).remainder(10).unsqueeze(0)
    changed = numbers.clone()
    changed[0, 40] = 9
    before, after = model(numbers), model(changed)
    assert torch.equal(before[0, :40], after[0, :40])
    assert not torch.allclose(before[0, 40:], after[0, 40:])


def test_the_loss_on_text_is_per_character(little: Text) -> None:
    outcome = trained("characters", "sgd:lr=0.0", epochs=1)
    # Weights that nothing has changed are about as good as guessing.
    guessing = torch.tensor(float(len(little.characters))).log().item()
    assert outcome.test_loss == pytest.approx(guessing, rel=0.1)
    assert outcome.train_loss == pytest.approx(guessing, rel=0.1)
    assert outcome.test_accuracy < 0.1


def test_a_training_on_text_ends_where_it_diverges(little: Text) -> None:
    outcome = trained("characters", "sgd:lr=1e30", epochs=3)
    assert outcome.diverged
    assert len(outcome.curve) == 1


def test_a_cosine_begins_with_a_warm_up_on_text_only(few: Dataset, little: Text) -> None:
    schedules = []
    for name in ("digits", "characters"):
        task = TASKS[name]
        for optimizer in ("adamw", "dog"):
            data = task.data(None, validation=False)
            trial = task.trial(Contender(optimizer), data, 10, SWEEP_SEED, 0, sweep=True)
            schedules.append(trial.schedule)
            assert (trial.seed, trial.validation) == (SWEEP_SEED, True)
    assert schedules == ["cosine", "constant", "cosine:warmup=2", "constant"]


def test_held_out_images_keep_their_labels(few: Dataset) -> None:
    data = held_out(replace(few, train_labels=torch.arange(64)))
    assert torch.equal(torch.cat([data.train_labels, data.test_labels]), torch.arange(64))

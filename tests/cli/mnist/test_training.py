"""Runs: what they share, what they measure, and how they end."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.training import Run, train
from tests.cli.mnist.experiments import SETTINGS, Silent, new_run, small, weights
from tests.cli.mnist.idxfiles import TEST


@pytest.fixture
def data(data_dir: Path) -> Dataset:
    return small(data_dir)


def trained(run: Run, data: Dataset) -> Run:
    train(run, data, Silent(), save=lambda run: None)
    return run


def test_runs_with_one_seed_begin_with_the_same_weights_and_the_same_order(data: Dataset) -> None:
    sgd, adam = new_run("sgd", data), new_run("adam:lr=1e-2", data)
    for param, other in zip(weights(sgd), weights(adam), strict=True):
        assert torch.equal(param, other)
    assert torch.equal(sgd.order.get_state(), adam.order.get_state())


def test_a_run_does_not_depend_on_those_before_it(data: Dataset) -> None:
    first = trained(new_run("sgd:lr=0.1", data), data)
    trained(new_run("sophia:lr=1e-3", data), data)
    torch.rand(3)
    again = trained(new_run("sgd:lr=0.1", data), data)
    assert first.curve.train_loss == again.curve.train_loss
    for param, other in zip(weights(first), weights(again), strict=True):
        assert torch.equal(param, other)


def test_another_seed_is_another_run(data: Dataset) -> None:
    run = trained(new_run("sgd", data), data)
    other = trained(new_run("sgd", data, replace(SETTINGS, seed=8)), data)
    assert run.curve.train_loss != other.curve.train_loss


def test_an_epoch_sees_every_image_once(data: Dataset) -> None:
    run = new_run("sgd:lr=0.0", data, replace(SETTINGS, epochs=1, batch_size=50))
    curve = trained(run, data).curve
    # 128 images in batches of 50: 50, 50 and 28, with a point on the curve for each.
    assert curve.step == [1, 2, 3]
    mean = (50 * curve.train_loss[0] + 50 * curve.train_loss[1] + 28 * curve.train_loss[2]) / 128
    pixels = (data.train_images.float() - data.mean) / data.deviation
    expected = cross_entropy(run.model(pixels), data.train_labels).item()
    assert mean == pytest.approx(expected, rel=1e-5)


def test_the_curve_has_a_point_for_each_epoch_and_ends_with_what_the_model_does(
    data: Dataset,
) -> None:
    run = trained(new_run("adam:lr=2e-3", data), data)
    curve = run.curve
    assert (run.epochs, run.finished) == (3, True)
    assert len(curve.test_loss) == len(curve.test_accuracy) == len(curve.seconds) == 3
    # Four batches an epoch.
    assert curve.step == list(range(1, 13))
    pixels = (data.test_images.float() - data.mean) / data.deviation
    right = (run.model(pixels).argmax(1) == data.test_labels).sum().item()
    assert curve.test_accuracy[-1] == right / TEST


def test_the_schedule_is_stepped_once_per_batch(data: Dataset) -> None:
    run = trained(new_run("sgd:lr=0.5", data), data)
    assert run.schedule.last_epoch == 12
    # The cosine is over: a tenth is left.
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def test_a_run_that_diverges_ends_there(data: Dataset) -> None:
    run = trained(new_run("sgd:lr=1e18", data), data)
    assert run.finished
    assert run.curve.diverged_at == run.curve.step[-1] < 12
    assert not math.isfinite(run.curve.train_loss[-1])
    assert len(run.curve.test_accuracy) == run.epochs


def test_sophia_sees_gradients_of_sampled_labels_every_ten_steps(data: Dataset) -> None:
    settings = replace(SETTINGS, batch_size=8, epochs=2)  # 32 steps: at 1, 11, 21 and 31
    run = new_run("sophia:lr=1e-3,betas=(0.9, 0.0)", data, settings)
    states = [run.labels.get_state()]
    weight = run.model.conv1.weight
    curvatures = []

    class Recorder(Silent):
        def batches_done(self, run: Run, images: int) -> None:
            states.append(run.labels.get_state())
            curvatures.append(run.optimizer.state[weight]["hessian"].clone())

    train(run, data, Recorder(), save=lambda run: None)
    drawn = [
        step
        for step, (before, after) in enumerate(pairwise(states), start=1)
        if not torch.equal(before, after)
    ]
    assert drawn == [1, 11, 21, 31]
    assert all(curvature.min() >= 0 < curvature.max() for curvature in curvatures)
    assert torch.equal(curvatures[0], curvatures[9])
    assert not torch.equal(curvatures[9], curvatures[10])


def test_sophia_may_diverge_too(data: Dataset) -> None:
    run = trained(new_run("sophia:lr=1e30", data), data)
    assert run.curve.diverged_at is not None


@pytest.mark.parametrize(("spec", "every"), [("adahessian:lr=1e-3", 1), ("sophiah:lr=1e-4", 10)])
def test_optimizers_of_the_hessian_get_an_estimate_of_it(
    spec: str, every: int, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(spec, data, replace(SETTINGS, batch_size=8, epochs=2))  # 32 steps
    estimates: list[int] = []
    estimate = run.optimizer.estimate_hessian  # type: ignore[attr-defined]

    def counted(loss: torch.Tensor) -> None:
        estimates.append(len(run.curve.step) + 1)
        estimate(loss)

    monkeypatch.setattr(run.optimizer, "estimate_hessian", counted)
    before = torch.get_rng_state()
    trained(run, data)
    assert torch.equal(torch.get_rng_state(), before)
    assert estimates == list(range(1, 33, every))


def test_the_test_is_of_the_weights_to_evaluate_with(data: Dataset) -> None:
    # A mean that keeps all of the past stays where it began.
    run = new_run("gpa:lr=0.1,eval_interp_coeff=1.0", data)
    accuracy = trained(run, data).curve.test_accuracy
    assert accuracy == trained(new_run("sgd:lr=0.0", data), data).curve.test_accuracy

"""What an experiment is, and what it cannot be."""

from dataclasses import replace

import pytest
from torch import nn

import schuss
from schuss.cli.errors import OptionError
from schuss.cli.mnist.model import seeded_model
from schuss.cli.mnist.settings import (
    DEFAULT_OPTIMIZERS,
    Experiment,
    Settings,
    build_optimizer,
    check,
    default_epochs,
    named_runs,
)
from tests.cli.mnist.experiments import SETTINGS


def test_there_are_at_least_four_optimizers_by_default() -> None:
    runs = named_runs(DEFAULT_OPTIMIZERS)
    assert len(runs) >= 4
    check(Experiment(runs, SETTINGS))


def test_the_digits_take_more_epochs_than_the_large_data_sets() -> None:
    assert default_epochs("digits") > default_epochs("kmnist")


def test_a_spec_becomes_an_optimizer_with_its_hyper_parameters() -> None:
    optimizer = build_optimizer("AdamW:lr=1e-2,betas=(0.8, 0.9)", nn.Linear(2, 2))
    assert type(optimizer) is schuss.AdamW
    assert optimizer.param_groups[0]["lr"] == 1e-2
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)


def test_muon_leaves_the_output_layer_and_the_biases_of_the_network_to_another() -> None:
    optimizer = build_optimizer("muon:lr=0.02,rest='adamw:lr=3e-3'", seeded_model(0))
    flat, plain, rest = optimizer.param_groups
    assert flat["param_names"] == ["conv1.weight", "conv2.weight"]
    assert (plain["param_names"], plain["lr"]) == (["fc1.weight"], 0.02)
    assert (len(rest["params"]), rest["lr"]) == (5, 3e-3)
    with pytest.raises(OptionError, match=r"--optimizer muon:rest='adam:x=1': Adam got .* 'x'"):
        build_optimizer("muon:rest='adam:x=1'", seeded_model(0))


def test_the_same_optimizer_may_run_with_other_hyper_parameters_but_not_twice() -> None:
    assert list(named_runs(["adam:lr=1e-3", "sgd", "Adam:lr=1e-2"])) == ["adam-1", "sgd", "adam-2"]
    with pytest.raises(OptionError, match="--optimizer Adam:lr=0.001 is given twice"):
        named_runs(["adam:lr=1e-3", "Adam:lr=0.001"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("adma", "--optimizer adma: no optimizer 'adma'; did you mean"),
        ("adam:lr=-1", "--optimizer adam:lr=-1: Invalid learning rate: -1"),
        ("adam:rho=1", "--optimizer adam:rho=1: "),
        ("adam:lr", "--optimizer: cannot read 'adam:lr'; write it as NAME or NAME:OPTION=VALUE"),
    ],
)
def test_an_optimizer_that_cannot_be_had_is_told(spec: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        check(Experiment({"run": spec}, SETTINGS))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(SETTINGS, schedule="sine"), "--schedule sine: no schedule 'sine'; there are"),
        (replace(SETTINGS, schedule="cosine:w=1"), "--schedule cosine:w=1: schedule 'cosine'"),
        (
            replace(SETTINGS, schedule="cosine:warmup=-1"),
            "--schedule cosine:warmup=-1: Invalid warmup",
        ),
        (replace(SETTINGS, data="cifar"), "--data cifar is none of digits, mnist, "),
        (replace(SETTINGS, device="gpu"), "--device gpu cannot be used: "),
        (replace(SETTINGS, device="meta:x"), "--device meta:x cannot be used: "),
    ],
)
def test_settings_that_cannot_be_had_are_told(settings: Settings, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        check(Experiment({"run": "adam"}, settings))
    assert str(caught.value).startswith(message)


def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(OptionError, match="--device cuda:99 cannot be used: .*; --device cpu can"):
        check(Experiment({"run": "adam"}, replace(SETTINGS, device="cuda:99")))

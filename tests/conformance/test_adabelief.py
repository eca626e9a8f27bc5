"""The authors' own package of AdaBelief, adabelief-pytorch 0.2.1."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from adabelief_pytorch import AdaBelief

import schuss
from tests.conformance.trajectories import Training, distance, trajectory


@pytest.mark.parametrize(
    ("rectify", "decoupled", "eps", "betas"),
    list(
        itertools.product([False, True], [False, True], [1e-16, 1e-8], [(0.9, 0.999), (0.5, 0.9)])
    ),
)
def test_it_moves_as_the_package_of_its_authors(rectify, decoupled, eps, betas):
    setting = {"lr": 3e-2, "betas": betas, "eps": eps, "weight_decay": 0.3, "rectify": rectify}
    ours = partial(schuss.AdaBelief, **setting, decoupled_weight_decay=decoupled)
    theirs = partial(AdaBelief, **setting, weight_decouple=decoupled, print_change_log=False)
    training = Training(second_group={"lr": 1e-2})
    # Rounding errors of float64 over 100 steps.
    assert distance(trajectory(ours, training), trajectory(theirs, training)) <= 1e-12


@pytest.mark.parametrize("degenerated_to_sgd", [False, True])
def test_below_the_threshold_it_waits_or_uses_momentum_as_their_package_does(degenerated_to_sgd):
    setting = {"lr": 3e-2, "betas": (0.9, 0.999), "degenerated_to_sgd": degenerated_to_sgd}
    ours = partial(schuss.AdaBelief, **setting)
    theirs = partial(AdaBelief, **setting, print_change_log=False)
    training = Training(steps=12)
    assert distance(trajectory(ours, training), trajectory(theirs, training)) <= 1e-12


def test_with_amsgrad_and_no_rectification_it_moves_as_their_package():
    setting = {"lr": 3e-2, "amsgrad": True, "rectify": False, "eps": 1e-8}
    ours = partial(schuss.AdaBelief, **setting)
    theirs = partial(AdaBelief, **setting, print_change_log=False)
    assert distance(trajectory(ours, Training()), trajectory(theirs, Training())) <= 1e-12


def test_with_amsgrad_the_rectified_update_uses_the_maximum_which_their_package_forgets():
    setting = {"lr": 3e-2, "amsgrad": True, "betas": (0.9, 0.9)}
    with_maximum = trajectory(partial(schuss.AdaBelief, **setting), Training())
    theirs = trajectory(partial(AdaBelief, **setting, print_change_log=False), Training())
    without = trajectory(
        partial(AdaBelief, **{**setting, "amsgrad": False}, print_change_log=False), Training()
    )
    assert all(torch.equal(a, b) for a, b in zip(theirs, without, strict=True))
    assert distance(with_maximum, theirs) > 0.01

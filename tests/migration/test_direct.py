"""Checkpoints of packages that load as they are."""

from __future__ import annotations

import copy
from typing import Any

import adabelief_pytorch
import adamp
import lion_pytorch
import pytest
import torch
from labml_nn.optimizers import ada_belief, adam, amsgrad, noam, radam, sophia
from labml_nn.optimizers.adam_warmup import AdamWarmup
from torch import nn

import schuss
from tests.migration.test_migration import apart, start, walk

# labml makes a number of a product with a parameter.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True")

BETAS = {"betas": (0.8, 0.9)}
LABML = {"optimized_update": True}
QUIET = {"print_change_log": False}


@pytest.mark.parametrize(
    ("cls", "theirs", "options"),
    [
        (schuss.Adam, adam.Adam, LABML),
        (schuss.AMSGrad, amsgrad.AMSGrad, LABML),
        (schuss.RAdam, radam.RAdam, {}),
        (schuss.AdaBelief, ada_belief.AdaBelief, {}),
        (schuss.Noam, noam.Noam, {"warmup": 6, "d_model": 16}),
        (schuss.AdamWarmup, AdamWarmup, {"warmup": 6}),
        (schuss.Sophia, sophia.Sophia, {}),
        (schuss.Lion, lion_pytorch.Lion, {}),
        (schuss.AdamP, adamp.AdamP, {}),
        # Without Nesterov's momentum, theirs projects the buffer itself, too.
        (schuss.SGDP, adamp.SGDP, {"momentum": 0.9, "nesterov": True}),
        (schuss.AdaBelief, adabelief_pytorch.AdaBelief, QUIET),
    ],
    ids=lambda value: getattr(value, "__module__", ""),
)
def test_a_run_of_labml_or_of_the_authors_goes_on_here(cls, theirs, options):
    params = start(torch.float64)
    rates = {} if theirs is adamp.SGDP else BETAS
    reference = theirs(params, lr=0.03, **rates, **options)
    for steps in range(5):
        walk(params, reference, 1, seed=steps)
    again = [nn.Parameter(param.detach().clone()) for param in params]
    own: dict[str, Any] = {} if options in (LABML, QUIET) else options
    optimizer = cls(again, lr=0.5, foreach=False, **own)
    optimizer.load_state_dict(copy.deepcopy(reference.state_dict()))
    before = [param.detach().clone() for param in again]
    for each, stepped in ((params, reference), (again, optimizer)):
        walk(each, stepped, 5, seed=9)
    assert apart(again, before) > 1e-3
    assert apart(again, params) < 1e-6

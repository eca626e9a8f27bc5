"""A step is captured once and repeated without Python, with other rates and with steps left out."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import schuss
from schuss import AdamW
from tests.algorithms import EVERY
from tests.covers import EXHAUSTIVE
from tests.gpu.rules import TRANSFORMS

SOME = ("adamw", "lion", "lamb", "radam", "nadam", "adamc", "adamwarmupcosinedecay", "sgd")
REFUSED = ("Accumulate", "GradientNoise", "SkipNonFinite", "low rank")
"""Transforms that decide, draw or count in Python."""

OF_STAGES = ("muon", "adamuon")


@pytest.mark.parametrize("name", [*SOME, *OF_STAGES])
def test_a_captured_step_is_repeated_with_other_rates(name, interpreter):
    interpreter("graphs", "repeats", name)


@pytest.mark.parametrize("name", ["adamw", "nadam", "muon", "adamuon"])
def test_a_captured_step_may_be_left_out(name, interpreter):
    interpreter("graphs", "repeats", name, "plain", True)


@pytest.mark.parametrize("name", ["adamw", "lamb", "muon"])
def test_a_captured_step_clips_and_averages(name, interpreter):
    interpreter("graphs", "repeats", name, "clip and average")


def test_a_captured_step_looks_ahead(interpreter):
    interpreter("graphs", "repeats", "adamw", "look ahead")


def test_a_step_that_is_left_out_notes_nothing_in_python(interpreter):
    interpreter("graphs", "repeats", "adamw", "amplify", True)


@pytest.mark.parametrize("name", [*TRANSFORMS, "low rank"] if EXHAUSTIVE else ["low rank"])
def test_every_transform_is_captured_or_says_why_not(name, interpreter):
    is_captured = interpreter("graphs", "repeats_or_refuses", "adamw", name)
    assert is_captured is (name not in REFUSED)


@pytest.mark.parametrize("name", EVERY if EXHAUSTIVE else ["prodigy", "novograd", "soap"])
def test_every_optimizer_is_captured_or_says_why_not(name, interpreter):
    interpreter("graphs", "repeats_or_refuses", name)


def test_there_is_no_graph_on_a_cpu():
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    optimizer = AdamW([weight], capturable=True)
    with pytest.raises(RuntimeError, match="no graph to capture a step on cpu; leave capturable"):
        optimizer.step()
    assert weight.tolist() == [1.0] * 3


@pytest.mark.parametrize("engine", [{"foreach": True}, {"fused": False}])
def test_another_engine_has_no_kernels_to_capture(engine):
    with pytest.raises(ValueError, match="capturable=True asks for kernels on a GPU"):
        AdamW([nn.Parameter(torch.ones(3))], capturable=True, **engine)


@pytest.mark.parametrize("transform", [schuss.Accumulate(2), schuss.SAM(), schuss.SkipNonFinite()])
def test_a_transform_that_decides_in_python_is_not_captured(transform):
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match=f"{type(transform).__name__}.*in Python; leave one"):
        AdamW([weight], capturable=True, transforms=[transform])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Halving", r"the rule reads a number in Python \(.*graphs.py:\d+\)"),
        ("Decomposing", "a graph cannot capture torch.linalg_qr, which waits for the device"),
        ("Multiplying", "torch.addmm with a number that changes from step to step"),
        ("Tripling", "works on whole tensors, and no kernel computes its numbers"),
    ],
)
def test_a_rule_that_no_graph_can_repeat_is_refused_by_name(name, reason, interpreter):
    assert re.search(
        f"{name} with capturable=True: .*{reason}", interpreter("graphs", "refusal", name)
    )

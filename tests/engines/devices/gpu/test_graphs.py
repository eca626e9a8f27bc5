"""A step is captured once and repeated without Python, with other rates and with steps left out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import schuss
from schuss import AdamW
from tests.algorithms import TRACED
from tests.covers import EXHAUSTIVE

SOME = ("adamw", "lion", "lamb", "radam", "nadam", "adamc", "adamwarmupcosinedecay", "sgd")


@pytest.mark.parametrize("name", SOME)
def test_a_captured_step_is_repeated_with_other_rates(name, interpreter):
    interpreter("graphs", "repeats", name)


@pytest.mark.parametrize("name", ["adamw", "nadam"])
def test_a_captured_step_may_be_left_out(name, interpreter):
    interpreter("graphs", "repeats", name, "plain", True)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_a_captured_step_clips_and_averages(name, interpreter):
    interpreter("graphs", "repeats", name, "clip and average")


def test_a_captured_step_looks_ahead(interpreter):
    interpreter("graphs", "repeats", "adamw", "look ahead")


@pytest.mark.parametrize("name", TRACED if EXHAUSTIVE else ["prodigy", "novograd"])
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


def test_a_rule_that_reads_a_number_is_refused_by_its_line(interpreter):
    interpreter("graphs", "refuses_a_read")

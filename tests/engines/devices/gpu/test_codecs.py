"""Kernels for a GPU keep codes as the loop does; Triton's interpreter runs them here."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import schuss
from schuss.engines.devices.gpu import codecs
from tests.engines.devices.gpu.stubbed import stubbed_gpu

DYNAMIC = {"exp_avg": "dynamic8", "exp_avg_sq": "udynamic8"}
SIZES = (31, 257, 1032)
"""Numbers of some rests behind those that share a scale, behind a block, and behind a chunk."""


@pytest.mark.parametrize("name", sorted(codecs.MODULES))
def test_codes_are_those_of_the_specification(name, interpreter):
    interpreter("coded_cases", "encodes", name)


@pytest.mark.parametrize(
    ("name", "storage", "options"),
    [
        ("adamw", "8bit", {}),
        ("adamw", "4bit", {"amsgrad": True}),
        ("adamw", DYNAMIC, {}),
        ("adamw", {"exp_avg": "fp8_e4m3", "exp_avg_sq": "fp8_e5m2"}, {}),
        ("adamw", {"exp_avg": "flash_int8", "exp_avg_sq": "flash_uint8"}, {}),
        ("lion", "4bit", {}),
        ("sgd", "8bit", {"momentum": 0.9}),
        ("sgd", {"momentum_buffer": "dynamic8"}, {"momentum": 0.9}),
        ("lamb", "8bit", {}),
        ("lamb", "4bit", {"weight_decay": 0.1}),
    ],
    ids=str,
)
def test_a_rule_leaves_the_codes_of_the_loop(name, storage, options, interpreter):
    # Of 4,000 codes: the interpreter rounds each operation, but not where torch has one for two.
    assert interpreter("coded_cases", "keeps", name, storage, SIZES, torch.float32, options) <= 1


@pytest.mark.parametrize("storage", ["bf16", {"*": "fp16"}], ids=str)
def test_state_in_half_precision_beside_float32(storage, interpreter):
    assert not interpreter("coded_cases", "keeps", "adamw", storage, SIZES, torch.float32, {})


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (torch.float64, {}),
        (torch.bfloat16, {}),
        (torch.bfloat16, {"master_weights": True}),
        (torch.float16, {"master_weights": True}),
    ],
    ids=str,
)
def test_codes_beside_parameters_of_any_precision(dtype, options, interpreter):
    assert interpreter("coded_cases", "keeps", "adamw", "8bit", SIZES, dtype, options) <= 1


@pytest.mark.parametrize("storage", ["8bit", "4bit"])
def test_codes_beside_memory_that_begins_anywhere(storage, interpreter):
    interpreter("coded_cases", "keeps_beside_odd_memory", storage)


def test_codes_beside_rows_and_columns_are_left_to_the_foreach_engine_and_that_is_told(interpreter):
    told = interpreter("coded_cases", "refused")
    assert re.search("exp_avg.* is kept as int8, .*with rows and columns", told)


def test_a_codec_that_no_kernel_for_a_gpu_has_is_refused(monkeypatch):
    monkeypatch.delitem(codecs.MODULES, "uint8")
    with stubbed_gpu():
        optimizer = schuss.AdamW([nn.Parameter(torch.ones(4096))], state_storage="8bit", fused=True)
        optimizer.param_groups[0]["params"][0].grad = torch.ones(4096)
        with pytest.raises(RuntimeError, match="exp_avg_sq is kept as uint8, which no kernel"):
            optimizer.step()

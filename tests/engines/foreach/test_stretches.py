"""A large parameter is stepped in stretches of its numbers, with the result of all at once."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.engines.allocations import peak_of
from schuss.engines.foreach import members
from schuss.storage.codecs import CODECS, Encoded

PIECE = 1 << 13

module = importlib.import_module("schuss.storage.codecs.encoded")

CASES: dict[str, tuple[str, torch.dtype, dict[str, Any]]] = {
    "float32": ("adamw", torch.float32, {}),
    "8bit": ("adamw", torch.float32, {"state_storage": "8bit"}),
    "4bit": ("ademamix", torch.float32, {"state_storage": "4bit"}),
    "half": ("lion", torch.bfloat16, {"state_storage": "8bit", "master_weights": 24}),
    "half, copied": ("sgd", torch.float16, {"momentum": 0.9, "master_weights": True}),
    "half, at random": ("adamw", torch.bfloat16, {"rounding": "stochastic"}),
    "complex": ("adam", torch.complex64, {"amsgrad": True}),
    "of the whole": ("lamb", torch.float32, {"state_storage": "8bit"}),
}


def made(case: str, shapes: Any) -> Any:
    name, dtype, options = CASES[case]
    generator = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(size, generator=generator).to(dtype)) for size in shapes]
    return schuss.create_optimizer(name, params, lr=0.01, foreach=True, **options)


def step(optimizer: Any, number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    for param in optimizer.param_groups[0]["params"]:
        param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)
    optimizer.step()


def numbers(optimizer: Any) -> list[Tensor]:
    found = []
    for param in optimizer.param_groups[0]["params"]:
        own = [x for x in optimizer.state[param].values() if isinstance(x, Tensor)]
        found += [param.detach(), *(x.codes if isinstance(x, Encoded) else x for x in own)]
    return found


@pytest.mark.parametrize("case", CASES)
def test_stretches_of_a_parameter_leave_the_bits_of_all_at_once(case, monkeypatch):
    shapes = [(3 * PIECE + 77,), (30,), (8, PIECE // 4)]
    whole, divided = made(case, shapes), made(case, shapes)
    for number in range(3):
        step(whole, number)
    monkeypatch.setitem(members.PIECE, "cpu", PIECE)
    for number in range(3):
        step(divided, number)
    assert all(map(torch.equal, numbers(whole), numbers(divided)))


@pytest.mark.parametrize("case", ["float32", "8bit", "half", "half, copied", "complex"])
def test_a_step_of_one_large_parameter_takes_the_memory_of_a_stretch(case, monkeypatch):
    monkeypatch.setitem(members.PIECE, "cpu", PIECE)
    peaks = []
    for count in (2, 8):
        optimizer = made(case, [(count * PIECE,)])
        step(optimizer, 0)
        step(optimizer, 1)
        peaks.append(peak_of(optimizer.step))
    assert peaks[1] == peaks[0]


def test_a_parameter_in_another_order_than_its_gradient_is_stepped_as_a_whole(monkeypatch):
    monkeypatch.setitem(members.PIECE, "cpu", 64)
    params = [nn.Parameter(torch.ones(16, 32)) for _ in range(2)]
    grad = torch.arange(512.0).view(32, 16).t()
    for param, options in zip(params, ({"foreach": True}, {"foreach": False}), strict=True):
        param.grad = grad
        schuss.SGD([param], lr=0.5, **options).step()
    assert torch.equal(*params)


def test_random_numbers_of_stretches_are_not_the_same(monkeypatch):
    monkeypatch.setitem(members.PIECE, "cpu", PIECE)
    moved = []
    for _ in range(2):
        param = nn.Parameter(torch.zeros(3 * PIECE))
        param.grad = torch.zeros_like(param)
        noise = schuss.GradientNoise(noise_eta=1.0)
        torch.manual_seed(1)
        schuss.SGD([param], lr=1.0, foreach=True, transforms=[noise]).step()
        moved.append(param.detach())
    assert torch.equal(*moved)
    first, second, third = moved[0].split(PIECE)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    assert 0.9 < moved[0].std() < 1.1


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_tensors_without_memory_are_decoded_in_pieces_of_the_device_they_are_told_for(
    device, monkeypatch
):
    monkeypatch.setattr(module, "ELSEWHERE", 1 << 15)
    monkeypatch.setitem(module.PIECE, "cpu", 1 << 13)
    kept = module.encoded(CODECS["int8"], torch.zeros(1 << 17, device="meta"))
    with module.pieces_as_on(torch.device(device)):
        of_pieces = peak_of(kept.decoded) - 4 * kept.numel()
    assert of_pieces // 4 // (1 << 13 if device == "cpu" else 1 << 15) in range(1, 8)

"""Kernels keep state as the loop does, to the last code, for every optimizer and preset."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.engines.devices.tables import tiles
from schuss.storage.codecs import CODECS, Encoded, policy
from tests.algorithms import TRACED
from tests.conformance.strangers import Ruled
from tests.covers import EXHAUSTIVE, in_turn

PRESETS = sorted(policy.PRESETS)
SHAPES = ((70, 61), (64, 64), (4099,), (9,))
"""Shapes with and without a rest behind the last block, and one that is too small to be encoded."""

CODES_OFF = 2e-3
"""The share of codes that may differ by one, where the loop rounds an operation otherwise."""


def params(shapes: Any = SHAPES) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def give_gradients(params: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for param in params:
        scale = torch.logspace(-5, 1, param.numel()).view(param.shape)
        param.grad = torch.randn(param.shape, generator=generator) * scale


def compare(ours: Tensor, theirs: Tensor) -> None:
    if isinstance(ours, Encoded) or isinstance(theirs, Encoded):
        assert isinstance(ours, Encoded)
        assert isinstance(theirs, Encoded)
        assert ours.codec is theirs.codec
        mine, others = (x.codec.unpacked(x.codes, x.numel()).int() for x in (ours, theirs))
        off = (mine - others).abs()
        assert off.max() <= 1
        assert (off > 0).double().mean() <= CODES_OFF
    else:
        assert ours.dtype is theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=1e-4)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in TRACED if name not in ("adahessian", "sophia", "sophiah")},
    "adafactor": ("adafactor", {"beta1": 0.9}),
    "sm3": ("sm3", {"momentum": 0.9}),
    "adamw, centralized": ("adamw", {"transforms": (schuss.GradientCentralization(),)}),
    "adamw, clipped adaptively": ("adamw", {"transforms": (schuss.ClipAdaptive(0.5),)}),
}
"""Optimizers that need no more than gradients, with options by which they keep averages."""

Created = Callable[..., schuss.Optimizer]


def trained_alike(create: Created, shapes: Any = SHAPES, steps: int = 3) -> None:
    """Step an optimizer on the fused engine and on the loop, from the same state each time."""
    ours, theirs = params(shapes), params(shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizers = [create(ours, fused=True), create(theirs, foreach=False)]
        for step in range(steps):
            for optimizer, given in zip(optimizers, (ours, theirs), strict=True):
                give_gradients(given, step)
                optimizer.step()
            for mine, other in zip(ours, theirs, strict=True):
                for key, value in optimizers[0].state[mine].items():
                    if isinstance(value, Tensor):
                        compare(value, optimizers[1].state[other][key])
            optimizers[1].load_state_dict(optimizers[0].state_dict())
            with torch.no_grad():
                for mine, other in zip(ours, theirs, strict=True):
                    torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)
                    other.copy_(mine)


# Codes are decoded and encoded around a rule, whatever it is: some of each kind take a second each.
OFTEN = (
    *("adamw", "lion", "adan", "amsgrad", "adopt", "madgrad", "radam", "rprop", "sgdschedulefree"),
    *("lamb", "prodigy", "novograd", "came", "adafactor", "sm3", "adammini", "adamp"),
    *("adamw, centralized", "adamw, clipped adaptively"),
)


@pytest.mark.parametrize(("name", "preset"), in_turn(CASES if EXHAUSTIVE else OFTEN, PRESETS))
def test_the_fused_engine_leaves_the_codes_of_the_loop(name: str, preset: str) -> None:
    algorithm, options = CASES[name]
    trained_alike(partial(schuss.create_optimizer, algorithm, state_storage=preset, **options))


OF_GRADIENTS = [n for n, codec in CODECS.items() if codec.is_signed and n != "fp8_e5m2"]
OF_SQUARES = [n for n in CODECS if n not in OF_GRADIENTS]
MIXED = in_turn(OF_GRADIENTS, [*OF_SQUARES[1:], OF_SQUARES[0]])
"""Each codec beside one of another family, since presets go through those of one family."""


@pytest.mark.parametrize(("signed", "unsigned"), MIXED)
def test_codecs_meet_in_one_kernel_at_every_size(signed, unsigned, monkeypatch):
    monkeypatch.setattr(policy, "SMALLEST", 1)
    sizes = [*range(1, 70), 127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 16383, 16384, 16385]
    storage = {"exp_avg": signed, "exp_avg_sq": unsigned}
    create = partial(schuss.AdamW, state_storage=storage)
    trained_alike(create, [(size,) for size in sizes], steps=2)


def by_rows_and_columns(state, group, grad, param):
    """Keep averages of a gradient that is divided by means of its rows and columns."""
    if not state:
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(grad), torch.zeros_like(grad)
        return
    m, v = state["exp_avg"], state["exp_avg_sq"]
    v.mul_(0.75).addcmul_(grad, grad, value=0.25)
    rows, columns = v.mean(dim=-1, keepdim=True), v.amax(dim=-2, keepdim=True)
    m.mul_(0.5).add_(grad / (rows.sqrt() + columns.sqrt() + 1e-3))
    param.sub_(m, alpha=0.1)


@pytest.mark.parametrize(
    ("signed", "unsigned"),
    [("int8", "udynamic8"), ("int4", "uint4")] if EXHAUSTIVE else [("int4", "udynamic8")],
)
def test_no_two_tiles_share_a_block(signed, unsigned, monkeypatch):
    monkeypatch.setattr(policy, "SMALLEST", 1)
    monkeypatch.setattr(tiles, "TILE", 600)
    monkeypatch.setattr(tiles, "WIDTH", 256)
    widths = [1, 3, 7, 31, 32, 33, 48, 63, 64, 100, 127, 128, 129, 255, 256, 257, 384, 512, 1025]
    shapes = [(1 + 3000 // width, width) for width in widths]
    batches = [(9, 7, 5), (70, 3, 3), (6, 16, 16), (5, 33, 31), (3, 64, 512), (2, 40, 24)]
    storage = {"exp_avg": signed, "exp_avg_sq": unsigned}
    create = partial(Ruled, rule=by_rows_and_columns, state_storage=storage)
    trained_alike(create, shapes + batches)


def test_statistics_of_one_number_are_not_mixed_up_with_codes_of_one(monkeypatch):
    monkeypatch.setattr(policy, "SMALLEST", 1)
    trained_alike(partial(schuss.CAME, state_storage="8bit"), [(1, 1), (1, 1)], steps=2)


def test_what_is_no_number_is_kept_by_kernels_as_by_the_loop():
    [ours], [theirs] = params([(5000,)]), params([(5000,)])
    for param, engine in ((ours, {"fused": True}), (theirs, {"foreach": False})):
        param.grad = torch.linspace(-1, 1, 5000)
        param.grad[[70, 900, 4999]] = torch.tensor([torch.nan, torch.inf, -torch.inf])
        optimizer = schuss.AdamW([param], state_storage="8bit", **engine)
        optimizer.step()
        param.grad = torch.ones(5000)
        optimizer.step()
    torch.testing.assert_close(ours, theirs, equal_nan=True, rtol=1e-5, atol=1e-6)
    assert 0 < ours.isnan().sum() <= 3 * 32

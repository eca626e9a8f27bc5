"""A training that began with another package goes on here as it would have gone on there."""

from __future__ import annotations

import contextlib
import copy
import io
from typing import Any

import adam_atan2_pytorch
import bitsandbytes
import dadaptation
import prodigyopt
import pytest
import schedulefree
import torch
from came_pytorch import CAME
from torch import nn

import schuss
from schuss.migration import FORMATS, migrated
from schuss.storage.codecs.saved import put_together
from tests.ledger.timm_optim import timm_class

RATE = 0.03
DECAY = {"weight_decay": 0.25}
ABOUT = 1e-10
"""In float64, another order of operations; in float32, see below."""
SINGLE = 2e-6
"""bitsandbytes has float32 only: about ten steps of rounding errors of 1.2e-7."""


# prodigyopt makes a number of a product with a parameter.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True")


def training(optimizer: Any) -> Any:
    optimizer.train()
    return optimizer


def timm(module: str, name: str, **options: Any) -> Any:
    return lambda params: timm_class(module, name)(params, lr=RATE, **options)


def bnb(name: str, **options: Any) -> Any:
    return lambda params: getattr(bitsandbytes.optim, name)(params, lr=RATE, **options)


def free(name: str, **options: Any) -> Any:
    cls = getattr(schedulefree, name)
    return lambda params: training(cls(params, lr=RATE, foreach=False, **options))


def adapted(name: str, **options: Any) -> Any:
    return lambda params: getattr(dadaptation, name)(params, d0=1e-2, **options)


def prodigy(**options: Any) -> Any:
    return lambda params: prodigyopt.Prodigy(params, d0=1e-2, **options)


BETAS = {"betas": (0.8, 0.9)}
CASES: list[tuple[str, Any, dict[str, Any]]] = [
    ("prodigyopt.Prodigy", prodigy(), {}),
    ("prodigyopt.Prodigy", prodigy(**DECAY, **BETAS, beta3=0.7, d_coef=2.0), {}),
    ("prodigyopt.Prodigy", prodigy(**DECAY, decouple=False, growth_rate=1.05), {}),
    ("prodigyopt.Prodigy", prodigy(use_bias_correction=True, safeguard_warmup=True), {}),
    ("schedulefree.AdamWScheduleFree", free("AdamWScheduleFree", **BETAS, **DECAY), {}),
    ("schedulefree.AdamWScheduleFree", free("AdamWScheduleFree", warmup_steps=6, r=1.0), {}),
    ("schedulefree.SGDScheduleFree", free("SGDScheduleFree", momentum=0.8, **DECAY), {}),
    ("schedulefree.RAdamScheduleFree", free("RAdamScheduleFree", **BETAS), {}),
    ("schedulefree.RAdamScheduleFree", free("RAdamScheduleFree", silent_sgd_phase=False), {}),
    (
        "adam_atan2_pytorch.AdamAtan2",
        lambda params: adam_atan2_pytorch.AdamAtan2(params, lr=RATE, b=2.0, **BETAS, **DECAY),
        {},
    ),
    ("dadaptation.DAdaptAdam", adapted("DAdaptAdam", **BETAS), {}),
    ("dadaptation.DAdaptAdam", adapted("DAdaptAdam", decouple=True, **DECAY), {}),
    ("dadaptation.DAdaptLion", adapted("DAdaptLion", **BETAS, **DECAY), {}),
    ("dadaptation.DAdaptSGD", adapted("DAdaptSGD", momentum=0.8, growth_rate=1.1), {}),
    ("came_pytorch.CAME", lambda params: CAME(params, lr=RATE, **DECAY), {}),
    ("timm.Adan", timm("adan", "Adan", **DECAY), {}),
    ("timm.Adopt", timm("adopt", "Adopt", decoupled=True, **BETAS, **DECAY), {}),
    ("timm.Adopt", timm("adopt", "Adopt", clip_exp=None), {}),
    ("timm.Lamb", timm("lamb", "Lamb", max_grad_norm=None, **BETAS, **DECAY), {}),
    ("timm.Lamb", timm("lamb", "Lamb", max_grad_norm=None, trust_clip=True), {}),
    ("timm.Lamb", timm("lamb", "Lamb", max_grad_norm=None, weight_decay=0.0), {}),
    (
        "timm.Lamb",
        timm("lamb", "Lamb", max_grad_norm=0.5),
        {"transforms": [schuss.ClipByGlobalNorm(0.5)]},
    ),
    (
        "timm.Lamb",
        timm("lamb", "Lamb", max_grad_norm=None, decoupled_decay=True, **DECAY),
        {"weight_decay": schuss.WeightDecay(0.0)},
    ),
    (
        "timm.Adan",
        timm("adan", "Adan", no_prox=True, **DECAY),
        {"weight_decay": schuss.WeightDecay(0.0)},
    ),
    ("timm.LaProp", timm("laprop", "LaProp", **BETAS), {}),
    ("timm.Lars", timm("lars", "Lars", momentum=0.9, nesterov=True, trust_coeff=0.1, **DECAY), {}),
    ("timm.Lion", timm("lion", "Lion", **BETAS, **DECAY), {}),
    ("timm.Lion", timm("lion", "Lion", caution=True), {"transforms": [schuss.Cautious()]}),
    ("timm.Mars", timm("mars", "Mars", gamma=0.05, **BETAS, **DECAY), {}),
    ("timm.NAdamW", timm("nadamw", "NAdamW", **BETAS, **DECAY), {}),
    ("timm.NvNovoGrad", timm("nvnovograd", "NvNovoGrad", **BETAS, **DECAY), {}),
    ("timm.RMSpropTF", timm("rmsprop_tf", "RMSpropTF", momentum=0.5, alpha=0.8), {}),
    ("timm.RMSpropTF", timm("rmsprop_tf", "RMSpropTF", decoupled_decay=True, **DECAY), {}),
    ("bitsandbytes.Adam", bnb("Adam", **BETAS, **DECAY), {}),
    ("bitsandbytes.AdamW", bnb("AdamW", **BETAS, **DECAY), {}),
    ("bitsandbytes.AdamW32bit", bnb("AdamW32bit"), {}),
    ("bitsandbytes.AdEMAMix", bnb("AdEMAMix", betas=(0.8, 0.9, 0.99), alpha=3.0, **DECAY), {}),
    ("bitsandbytes.Lion", bnb("Lion", **BETAS, **DECAY), {}),
    ("bitsandbytes.SGD", bnb("SGD", momentum=0.8, **DECAY), {}),
    ("bitsandbytes.RMSprop", bnb("RMSprop", alpha=0.8, **DECAY), {}),
    ("bitsandbytes.Adagrad", bnb("Adagrad", **DECAY), {}),
]
LOOSER = {
    "timm.LaProp": 1e-6,  # corrections in float32
    "timm.NvNovoGrad": 1e-6,  # the second moment in float32
    "timm.RMSpropTF": 1e-7,  # the rate in float32
}


def dtype_of(name: str) -> torch.dtype:
    return torch.float32 if name.startswith("bitsandbytes") else torch.float64


def walk(params: list[nn.Parameter], optimizer: Any, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for param in params:
            param.grad = torch.randn(param.shape, generator=generator, dtype=param.dtype)
        optimizer.step()


def start(dtype: torch.dtype) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((4, 3), (5,), (2, 2, 3))
    return [nn.Parameter(torch.randn(s, generator=generator, dtype=dtype)) for s in shapes]


def began(name: str, theirs: Any) -> tuple[list[nn.Parameter], Any, dict[str, Any]]:
    params = start(dtype_of(name))
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer = theirs(params)
    walk(params, optimizer, 5, seed=1)
    return params, optimizer, copy.deepcopy(optimizer.state_dict())


def apart(ours: list[nn.Parameter], theirs: list[nn.Parameter]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "theirs", "options"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)]
)
def test_a_run_goes_on_here_as_there(name, theirs, options):
    params, reference, saved = began(name, theirs)
    again = [nn.Parameter(param.detach().clone()) for param in params]
    # The hyper-parameters are the defaults of ours, until the checkpoint brings those of theirs.
    cls = getattr(schuss, FORMATS[name].algorithm)
    optimizer = cls(again, lr=0.5, foreach=False, **options)
    if options:  # transforms and decay objects here, and options there
        with pytest.warns(
            UserWarning, match=r"which is no hyper-parameter of \w+; give the optimizer"
        ):
            checkpoint = migrated(name, saved)
    else:
        checkpoint = migrated(name, saved)
    optimizer.load_state_dict(checkpoint)
    walk(params, reference, 5, seed=2)
    before = [param.detach().clone() for param in again]
    walk(again, optimizer, 5, seed=2)
    assert apart(again, before) > 1e-3
    tolerance = SINGLE if dtype_of(name) is torch.float32 else LOOSER.get(name, ABOUT)
    if "transforms" in options:
        tolerance = 1e-7  # timm adds 1e-6 to the norm that it clips
    assert apart(again, params) < tolerance


def first_mean(state: dict[str, Any]) -> torch.Tensor:
    """Return the codes of the first mean of bitsandbytes, which is beside another with AdEMAMix."""
    found: torch.Tensor = state["state1"]
    return found if found.dim() == 2 else found[0]


def test_every_format_is_tried():
    elsewhere = ("torchao.", "flashoptim.")  # in test_formats.py, without these packages
    here = {name for name in FORMATS if not name.startswith(elsewhere)}
    tried = {name for name, _, _ in CASES}
    assert {name.removesuffix("32bit").removesuffix("8bit") for name in here | tried} == {
        name.removesuffix("32bit") for name in tried
    }


BY_MAPS = {"exp_avg": "dynamic8", "exp_avg_slow": "dynamic8", "exp_avg_sq": "udynamic8"}


@pytest.mark.parametrize("name", ["Adam8bit", "Lion8bit", "AdEMAMix8bit"])
def test_codes_of_eight_bits_stay_as_they_are_and_are_decoded_where_no_group_asks(name):
    shape = (65, 67)  # bitsandbytes keeps tensors of fewer than 4,096 numbers in float32
    param = nn.Parameter(torch.ones(shape))
    theirs = getattr(bitsandbytes.optim, name)([param], lr=RATE)
    generator = torch.Generator().manual_seed(0)
    param.grad = torch.randn(shape, generator=generator)
    theirs.step()
    saved = copy.deepcopy(theirs.state_dict())
    [codes] = migrated(f"bitsandbytes.{name}", saved)["state"].values()
    state = put_together("it", torch.Size(shape), codes)
    kept = {key: codec for key, codec in BY_MAPS.items() if key in state}
    beta1 = theirs.param_groups[0]["betas"][0 if "Ad" in name else 1]
    assert state["exp_avg"].dtype is torch.float32
    # The first moment is a share of the gradient. A code is off by up to a hundredth of the scale.
    error = (state["exp_avg"] - (1 - beta1) * param.grad).abs().max()
    assert 0 < error < 0.02 * (1 - beta1) * param.grad.abs().max()
    if name == "AdEMAMix8bit":  # both begin alike, but for their shares
        slow = 1 - theirs.param_groups[0]["betas"][2]
        assert (state["exp_avg_slow"] - slow * param.grad).abs().max() < 0.1 * slow
    again = nn.Parameter(param.detach().clone())
    cls = getattr(schuss, FORMATS[f"bitsandbytes.{name}"].algorithm)
    coded = cls([nn.Parameter(again.detach())], state_storage=kept)
    coded.load_state_dict(migrated(f"bitsandbytes.{name}", saved))
    for key, codec in kept.items():
        [found] = [each[key] for each in coded.state.values()]
        assert torch.equal(found.codes, codes[f"{key}.{codec}.codes"])
        assert torch.equal(found.scales, codes[f"{key}.{codec}.scales"])
    assert torch.equal(codes["exp_avg.dynamic8.codes"], first_mean(theirs.state[param]))
    optimizer = cls([again], foreach=False)
    optimizer.load_state_dict(migrated(f"bitsandbytes.{name}", saved))
    for each, opt in ((param, theirs), (again, optimizer)):
        each.grad = torch.ones(shape)
        opt.step()
    moved = (param - 1).norm()
    assert (again - param).norm() < 0.02 * moved

"""Every hyper-parameter of every optimizer and transform: values that it has, and values that not.

The table names each argument of each constructor, and what it may be. An argument that is missing
from it fails the test.
"""

from __future__ import annotations

import inspect
from math import inf, nan
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn, tensor

import schuss
from schuss import optimizers, transforms
from schuss.matrices import SCALES, Dims, Heads, Split
from schuss.transforms import WeightDecay

# Kinds of arguments: values inside, values of a wrong type, values outside.

NO_NUMBERS = ["1e-3", True, 1j, (0.5,), tensor(True), tensor(1j), np.bool_(1), object()]
NO_VALUES = [nan, tensor(nan), tensor([0.1, 0.2]), np.float32(nan)]
ANY = [0.5, np.float32(0.5), np.array(0.5), tensor(0.5), tensor([0.5])]


def kind(inside, wrong=(*NO_NUMBERS, None), outside=NO_VALUES):
    return inside, wrong, outside


def or_none(of):
    inside, wrong, outside = of
    return [*inside, None], [value for value in wrong if value is not None], outside


NOT_NEGATIVE = kind([0, 3, *ANY], outside=[-1e-9, inf, *NO_VALUES])
BOUND = kind([0.0, inf, *ANY], outside=[-1e-9, *NO_VALUES])
POSITIVE = kind([1e-300, 3, *ANY], outside=[0, inf, -1.0, *NO_VALUES])
POSITIVE_BOUND = kind([1e-300, inf, *ANY], outside=[0, -1.0, *NO_VALUES])
AT_LEAST_1 = kind([1, inf, 1.5], outside=[0.99, *NO_VALUES])
AT_LEAST_4 = kind([4, inf, 4.5], outside=[3.99, *NO_VALUES])
NOT_POSITIVE = kind([0, -0.8, tensor(-0.5)], outside=[1e-9, -inf, *NO_VALUES])
FINITE = kind([0, -1.5, *ANY], outside=[inf, -inf, *NO_VALUES])
SHARE = kind([0, 1, *ANY], outside=[-1e-9, 1.0001, inf, *NO_VALUES])
RATE = kind([0, 0.999, *ANY], outside=[-1e-9, 1, inf, *NO_VALUES])
INSIDE = kind([0.001, *ANY], outside=[0, 1, *NO_VALUES])
NOT_ZERO_SHARE = kind([0.001, 1, *ANY], outside=[0, 1.0001, *NO_VALUES])
COUNT = kind([0, 3, np.int64(3), 3.0], outside=[-1, 2.5, nan, inf])
COUNT_FROM_1 = kind([1, 3, np.int64(3), 3.0], outside=[0, -1, 2.5, nan, inf])
COUNT = (COUNT[0], [*COUNT[1], tensor(3)], COUNT[2])
COUNT_FROM_1 = (COUNT_FROM_1[0], [*COUNT_FROM_1[1], tensor(3)], COUNT_FROM_1[2])
ROWS_OF_2 = ([1, 2, np.int64(2), 1.0], *COUNT_FROM_1[1:])
FLAG: tuple[list[Any], list[Any], list[Any]] = (
    [True, False, np.bool_(1)],
    ["yes", 1, 0.0, None, tensor(True)],
    [],
)
DECAY = (
    [0, 0.5, np.float32(0.5), tensor([0.5]), WeightDecay(0.1)],
    ["0.1", True, None, [0.1]],
    [-1e-9, nan, inf],
)


def rates(count):
    values = [0.5] * count
    return kind(
        [
            tuple(values),
            [0, *values[1:]],
            np.array(values),
            np.array(values, dtype=np.float32),
            torch.full((count,), 0.5),
            (tensor([0.5]),) * count,
        ],
        wrong=[0.5, None, "0.9", {0.5: 1}, {0.5}, ("0.5", *values[1:]), (True, *values[1:])],
        outside=[
            (0.5,) * (count - 1),
            (0.5,) * (count + 1),
            (),
            (1.0, *values[1:]),
            (*values[1:], -1e-9),
            (nan, *values[1:]),
            torch.full((count + 1,), 0.5),
            np.array([0.5] * (count - 1) + [1.0]),
        ],
    )


def pair(inside, outside):
    wrong = [0.5, None, "12", ("0.5", 0.5), (0.5, None)]
    return kind(
        [inside, list(inside), np.array(inside)], wrong, [inside[:1], (*inside, 1), *outside]
    )


EPS_2 = pair((0.0, 0.5), [(-1.0, 0.5), (0.5, nan)])
MIX_AND_RATE = pair((0.9, 0.0), [(0, 0.9), (1, 0.9), (0.9, 1)])


def names(*inside):
    wrong = [1, True, ("jordan",), *([] if None in inside else [None])]
    return list(inside), wrong, ["x", ""]


OF_ALL_OPTIMIZERS = {"lr": NOT_NEGATIVE, "weight_decay": DECAY}
OPTIONS = {
    "maximize": FLAG,
    "master_weights": ([*FLAG[0], 24, np.int64(24)], ["yes", None, 24.0], [16, 1, 0]),
    "rounding": or_none(names("stochastic", "kahan")),
    "state_storage": (
        [None, "8bit", "bf16", {}, {"exp_avg": "int8", "*": "float32"}],
        [8, True, ["8bit"], {1: "int8"}, {"exp_avg": 8}],
        ["9bit", "", {"exp_avg": "int9"}],
    ),
    "differentiable": FLAG,
    "foreach": or_none(FLAG),
    "fused": or_none(FLAG),
    "capturable": FLAG,
    "transforms": ([[], ()], [None, "EMA", transforms.EMA(), [transforms.EMA]], []),
}

ADAM = {"betas": rates(2), "eps": NOT_NEGATIVE}
ADAM_FLAGS = {"amsgrad": FLAG, "decoupled_weight_decay": FLAG, "optimized_update": or_none(FLAG)}
DISTANCE = {"d0": POSITIVE, "growth_rate": AT_LEAST_1}
SCHEDULE_FREE = {"r": FINITE, "weight_lr_power": NOT_NEGATIVE}
RADAM = {"degenerated_to_sgd": FLAG, "rho_threshold": AT_LEAST_4}
SOPHIA = {**ADAM, "rho": NOT_NEGATIVE}
RMSPROP = {"alpha": SHARE, "eps": NOT_NEGATIVE, "momentum": NOT_NEGATIVE}
PROJECTED = {"delta": NOT_NEGATIVE, "wd_ratio": NOT_NEGATIVE, "nesterov": FLAG}
ITERATION = {
    "ns_coefficients": (
        ["jordan", "aol", (3.0, -3.2, 1.2), [3, -3.2, 1.2], ((3.0, -3.2, 1.2),) * 2],
        [None, 3.0, object(), ("a", 1.0, 1.0)],
        ["jordon", (), (1.0,), ((1.0, 2.0),), (nan, 1.0, 1.0)],
    ),
    "eps": NOT_NEGATIVE,
    "ns_steps": or_none(COUNT_FROM_1),
    "adjust_lr_fn": names(*SCALES, None),
    "precision": names("bfloat16", "float32", "medium"),
    "form": names("ordinary", "gram", None),
    "matrices": (
        [None, "flatten", "batch", Heads(2), Split(1, 1), Dims(rows=(1,), cols=(0,))],
        [3, True, object()],
        ["rows", ("heads", 0, 0), ("split", (), 0), (2, 2)],
    ),
}
SIDES = {"max_dim": COUNT_FROM_1, "matrices": ITERATION["matrices"]}
MUON = {**ITERATION, "momentum": RATE, "nesterov": FLAG}
DOG = {"reps_rel": POSITIVE, "eps": NOT_NEGATIVE}

OPTIMIZERS = {
    "ADOPT": {**ADAM, "clip_exponent": or_none(NOT_NEGATIVE), "decoupled_weight_decay": FLAG},
    "ASGD": {"lambd": NOT_NEGATIVE, "alpha": NOT_NEGATIVE, "t0": BOUND},
    "CAME": {"betas": rates(3), "eps": EPS_2, "clip_threshold": POSITIVE_BOUND},
    "GPA": {
        **ADAM,
        "train_interp_coeff": NOT_ZERO_SHARE,
        "eval_interp_coeff": SHARE,
        "decay_on_y": FLAG,
    },
    "KLShampoo": {
        **ADAM,
        "precondition_frequency": COUNT_FROM_1,
        "init_factor": POSITIVE,
        **SIDES,
    },
    "LAMB": {
        **ADAM,
        "max_trust_ratio": or_none(BOUND),
        "layer_adaptation": FLAG,
        "bias_correction": FLAG,
    },
    "LARS": {
        "momentum": NOT_NEGATIVE,
        "trust_coefficient": or_none(NOT_NEGATIVE),
        "eps": NOT_NEGATIVE,
        "nesterov": FLAG,
    },
    "MADGRAD": {"momentum": SHARE, "eps": NOT_NEGATIVE},
    "MARS": {
        **ADAM,
        "kappa": NOT_NEGATIVE,
        "optimize_1d": FLAG,
        "betas_1d": rates(2),
        "lr_1d_factor": NOT_NEGATIVE,
        "weight_decay_1d": or_none(NOT_NEGATIVE),
        "matrices_only": FLAG,
    },
    "SOAP": {
        **ADAM,
        "shampoo_beta": or_none(RATE),
        "precondition_frequency": COUNT_FROM_1,
        **SIDES,
    },
    "SPlus": {"betas": rates(2), "inverse_every": COUNT_FROM_1, **SIDES},
    "Scion": {
        **ITERATION,
        "momentum": NOT_ZERO_SHARE,
        "scale": NOT_NEGATIVE,
        "norm": names("spectral", "sign", "row", "col"),
    },
    "Shampoo": {
        "betas": pair((0.9, 1.0), [(1, 0.9), (0.9, 0), (0.9, 1.5), (nan, 0.9)]),
        "eps": NOT_NEGATIVE,
        "precondition_frequency": COUNT_FROM_1,
        "graft": names("sgd", None),
        **SIDES,
    },
    "SGD": {"momentum": NOT_NEGATIVE, "dampening": FINITE, "nesterov": FLAG},
    "SGDP": {"momentum": RATE, "dampening": FINITE, "eps": NOT_NEGATIVE, **PROJECTED},
    "SM3": {"momentum": SHARE, "beta": SHARE, "eps": NOT_NEGATIVE},
    "AMSGrad": {**ADAM, **ADAM_FLAGS},
    "AdEMAMix": {"betas": rates(3), "eps": NOT_NEGATIVE, "alpha": NOT_NEGATIVE}
    | {"t_alpha_beta3": or_none(kind([0, 3, 2.5], outside=[-1, inf, *NO_VALUES]))},
    "AdaBelief": {**ADAM, **ADAM_FLAGS, **RADAM, "rectify": FLAG},
    "AdaMuon": {
        **{key: value for key, value in MUON.items() if key != "adjust_lr_fn"},
        "sign": FLAG,
        "rms": NOT_NEGATIVE,
    },
    "AdaHessian": {**ADAM, "hessian_power": SHARE},
    "Adadelta": {"rho": SHARE, "eps": NOT_NEGATIVE},
    "Adafactor": {
        "beta2_decay": NOT_POSITIVE,
        "eps": pair((0.0, 0.5), [(-1.0, 0.5), (None, nan)]),
        "d": POSITIVE_BOUND,
        "beta1": or_none(SHARE),
        "relative_step": FLAG,
        "scale_parameter": FLAG,
        "eps_in_squares": FLAG,
        "scale_decay": FLAG,
    },
    "Adagrad": {
        "lr_decay": NOT_NEGATIVE,
        "initial_accumulator_value": NOT_NEGATIVE,
        "eps": NOT_NEGATIVE,
    },
    "Adam": {**ADAM, **ADAM_FLAGS},
    "AdamAtan2": {"betas": rates(2), "a": NOT_NEGATIVE, "b": NOT_NEGATIVE},
    "AdamC": {**ADAM, "amsgrad": FLAG, "optimized_update": or_none(FLAG)}
    | {"max_lr": or_none(POSITIVE)},
    "AdamMini": {
        **ADAM,
        "blocks": (
            ["row", "tensor", "element", 1, 2, np.int64(2), 2.0],
            [None, True, tensor(2), ("row",)],
            ["head", "2", 0, -1, 1.5, nan],
        ),
    },
    "AdamP": {**ADAM, **PROJECTED},
    "AdamW": {**ADAM, "amsgrad": FLAG, "optimized_update": or_none(FLAG)},
    "AdamWScheduleFree": {
        "betas": MIX_AND_RATE,
        "eps": NOT_NEGATIVE,
        "warmup_steps": COUNT,
        **SCHEDULE_FREE,
    },
    "AdamWarmup": {**ADAM, **ADAM_FLAGS, "warmup": COUNT},
    "AdamWarmupCosineDecay": {
        **ADAM,
        **ADAM_FLAGS,
        "warmup": COUNT,
        "total_steps": COUNT,
        "min_lr_ratio": NOT_NEGATIVE,
    },
    "Adamax": ADAM,
    "Adan": {"betas": rates(3), "eps": NOT_NEGATIVE},
    "DAdaptAdam": {
        **ADAM,
        **DISTANCE,
        "decoupled_weight_decay": FLAG,
        "use_bias_correction": FLAG,
        "layer_scale": POSITIVE,
    },
    "DAdaptLion": {"betas": rates(2), **DISTANCE},
    "DAdaptSGD": {"momentum": SHARE, **DISTANCE},
    "Dion2": {**ITERATION, "momentum": SHARE, "fraction": NOT_ZERO_SHARE},
    "DoG": DOG,
    "LDoG": DOG,
    "LaProp": ADAM,
    "Lion": {"betas": rates(2)},
    "Muon": MUON,
    "NAdam": {**ADAM, "momentum_decay": NOT_NEGATIVE, "decoupled_weight_decay": FLAG},
    "NAdamW": {**ADAM, **ADAM_FLAGS},
    "Noam": {**ADAM, **ADAM_FLAGS, "warmup": COUNT, "d_model": COUNT_FROM_1},
    "NorMuon": {**MUON, "beta2": RATE},
    "NovoGrad": {**ADAM, "grad_averaging": FLAG},
    "PSGDKron": {
        "momentum": RATE,
        "precondition_lr": POSITIVE,
        "precondition_frequency": COUNT_FROM_1,
        **SIDES,
    },
    "Prodigy": {
        **ADAM,
        **DISTANCE,
        "beta3": or_none(RATE),
        "use_bias_correction": FLAG,
        "safeguard_warmup": FLAG,
        "d_coef": POSITIVE,
    },
    "RAdam": {**ADAM, **ADAM_FLAGS, **RADAM},
    "RAdamScheduleFree": {
        "betas": MIX_AND_RATE,
        "eps": NOT_NEGATIVE,
        "silent_sgd_phase": FLAG,
        **SCHEDULE_FREE,
    },
    "RMSprop": {**RMSPROP, "centered": FLAG},
    "RMSpropTF": RMSPROP,
    "Rprop": {
        "etas": pair((0.5, 1.2), [(0, 1.2), (1, 1.2), (0.5, 1), (0.5, inf), (nan, 1.2)]),
        "step_sizes": pair((0.0, inf), [(-1, 1), (2, 1), (nan, 1), (inf, inf)]),
    },
    "SGDScheduleFree": {"momentum": INSIDE, "warmup_steps": COUNT, **SCHEDULE_FREE},
    "Signum": {"momentum": RATE},
    "Sophia": {**SOPHIA, "add_eps": FLAG},
    "SophiaH": {**SOPHIA, "add_eps": FLAG},
    "StableAdamW": ADAM,
    "Tiger": {"beta": RATE, "layer_adaptive": FLAG},
    "Yogi": {**ADAM, "initial_accumulator": NOT_NEGATIVE, "bias_correction": FLAG},
}

APOLLO = {
    "apollo_rank": or_none(COUNT_FROM_1),
    "apollo_every": COUNT_FROM_1,
    "apollo_scale": POSITIVE,
    "apollo_per": names("channel", "tensor"),
    "apollo_growth": or_none(kind([1, 1.5], outside=[0.99, inf, *NO_VALUES])),
    "apollo_seed": COUNT,
}

TRANSFORMS = {
    "APOLLO": APOLLO,
    "APOLLOMini": APOLLO,
    "Accumulate": {"accumulate_every": COUNT_FROM_1, "accumulated_calls": COUNT},
    "Cautious": {"cautious": FLAG},
    "CautiousDecay": {"cautious_weight_decay": NOT_NEGATIVE},
    "ClipAdaptive": {"clip_factor": or_none(BOUND), "clip_eps": NOT_NEGATIVE},
    "ClipByGlobalNorm": {"max_grad_norm": or_none(BOUND)},
    "ClipByNorm": {"max_param_grad_norm": or_none(BOUND)},
    "ClipByValue": {"max_grad_value": or_none(BOUND)},
    "ClipUpdate": {"max_update_rms": or_none(POSITIVE_BOUND)},
    "DecayToStart": {"decay_to_start": NOT_NEGATIVE},
    "EMA": {"ema_decay": SHARE, "ema_warmup": FLAG},
    "GaLore": {
        "galore_rank": or_none(COUNT_FROM_1),
        "galore_every": COUNT_FROM_1,
        "galore_scale": POSITIVE,
    },
    "GradientCentralization": {"gradient_centralization": FLAG},
    "GradientNoise": {"noise_eta": NOT_NEGATIVE, "noise_gamma": NOT_NEGATIVE},
    "Grokfast": {"grokfast_alpha": SHARE, "grokfast_lamb": NOT_NEGATIVE},
    "Hyperball": {"hyperball": FLAG},
    "Lookahead": {"lookahead_k": COUNT_FROM_1, "lookahead_alpha": SHARE},
    "OrthogonalGradient": {"orthogonal_gradient": FLAG},
    "QKClip": {"qk_threshold": POSITIVE, "qk_share": SHARE, "qk_heads": or_none(ROWS_OF_2)},
    "SAM": {"sam_rho": NOT_NEGATIVE, "sam_adaptive": FLAG, "sam_eta": NOT_NEGATIVE},
    "SkipNonFinite": {"skipped_steps": COUNT},
    "TrustRatio": {"trust_ratio": FLAG, "max_trust_ratio": or_none(BOUND)},
}

NUMBER_DECAY = (DECAY[0][:-1], DECAY[1], DECAY[2])
COEFFICIENTS = {"weight_decay": NUMBER_DECAY, "weight_decouple": FLAG, "absolute": FLAG}
DECAYS = {
    "WeightDecay": COEFFICIENTS,
    "L1Decay": COEFFICIENTS,
    "InUpdate": COEFFICIENTS,
    "CorrectedDecay": {"weight_decay": NUMBER_DECAY, "max_lr": or_none(POSITIVE)},
}

REQUIRED = {"Accumulate": {"accumulate_every": 2}}
WITH = {
    ("SGD", "nesterov"): {"momentum": 0.9},
    ("AdamC", "max_lr"): {"weight_decay": 0.1},
}
"""What else has to be given, for the sake of a relation between the two."""

IN_GROUPS = {
    ("Tiger", "beta"): "momentum",
    ("LAMB", "max_trust_ratio"): "lamb_max_trust_ratio",
    **{(name, "weight_decouple"): "decoupled_weight_decay" for name in DECAYS},
    **{(name, "absolute"): "absolute_weight_decay" for name in DECAYS},
}
"""What arguments are called in groups."""


def made(name, **arguments):
    param = nn.Parameter(torch.ones(2, 2))
    return getattr(schuss, name)([param], **arguments)


def made_transform(name, **arguments):
    return getattr(transforms, name)(**{**REQUIRED.get(name, {}), **arguments})


def in_python(value):
    """Return a value as Python's own numbers."""
    if isinstance(value, (tuple, list)):
        return tuple(map(in_python, value))
    if isinstance(value, torch.Tensor):
        return value.squeeze().tolist()
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def stepped(optimizer):
    """Take two steps, and return the parameter."""
    [param] = optimizer.param_groups[0]["params"]
    for _ in range(2):
        if hasattr(optimizer, "set_hessian"):
            optimizer.set_hessian([torch.ones_like(param)])

        def closure():
            param.grad = torch.full_like(param, 0.5)

        optimizer.step(closure)
    return param.detach()


def arguments_of(cls):
    names = set(inspect.signature(cls).parameters)
    return names - {"params", "defaults", "options", *OPTIONS}


def test_the_table_has_every_argument_of_every_class():
    assert {*OPTIMIZERS} == {*optimizers.__all__}
    assert {*TRANSFORMS, *DECAYS, "Transform"} == {*transforms.__all__}
    for name, rows in OPTIMIZERS.items():
        assert arguments_of(getattr(schuss, name)) == {*rows, *OF_ALL_OPTIMIZERS}, name
    for name, rows in {**TRANSFORMS, **DECAYS}.items():
        assert arguments_of(getattr(transforms, name)) == {*rows}, name
    assert {*OPTIONS} == {*schuss.Options.__annotations__}


def test_every_hyper_parameter_of_a_group_has_a_domain():
    for name in OPTIMIZERS:
        optimizer = made(name)
        assert {*optimizer.param_groups[0]} - {"params"} == {*optimizer._all_domains()} & {
            *optimizer.param_groups[0]
        }, name
    for name in TRANSFORMS:
        assert {*made_transform(name).defaults()} == {*getattr(transforms, name).domains}, name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_takes_what_is_inside_and_steps(name):
    for key, (inside, _, _) in {**OPTIMIZERS[name], **OF_ALL_OPTIMIZERS}.items():
        for value in inside:
            before, others = repr(value), WITH.get((name, key), {})
            optimizer = made(name, foreach=False, **{key: value}, **others)
            weight = stepped(optimizer)
            expected = stepped(made(name, foreach=False, **{key: in_python(value)}, **others))
            torch.testing.assert_close(weight, expected, equal_nan=True)
            assert repr(value) == before, (key, "was written to")
            kept = optimizer.param_groups[0][IN_GROUPS.get((name, key), key)]
            assert kept is value or isinstance(value, WeightDecay), (key, value)
        optimizer.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_refuses_what_is_outside(name):
    for key, (_, wrong, outside) in {**OPTIMIZERS[name], **OF_ALL_OPTIMIZERS}.items():
        for error, values in ((TypeError, wrong), (ValueError, outside)):
            for value in values:
                with pytest.raises(error) as caught:
                    made(name, **{key: value}, **WITH.get((name, key), {}))
                assert_names(caught.value, name, key, value)


def assert_names(error, name, key, value):
    message = str(error)
    assert message.startswith("Invalid "), (message, name, key, value)
    assert f"; {IN_GROUPS.get((name, key), key)}" in message, (message, name, key, value)
    assert " must " in message, (message, name, key, value)


@pytest.mark.parametrize("name", [*TRANSFORMS, *DECAYS])
def test_a_transform_takes_what_is_inside_and_steps(name):
    for key, (inside, _, _) in {**TRANSFORMS, **DECAYS}[name].items():
        for value in inside:
            transform = made_transform(name, **{key: value})
            how = {"weight_decay": transform} if name in DECAYS else {"transforms": [transform]}
            assert stepped(made("SGD", foreach=False, **how)).isfinite().all(), (key, value)


@pytest.mark.parametrize("name", [*TRANSFORMS, *DECAYS])
def test_a_transform_refuses_what_is_outside(name):
    for key, (_, wrong, outside) in {**TRANSFORMS, **DECAYS}[name].items():
        for error, values in ((TypeError, wrong), (ValueError, outside)):
            for value in values:
                with pytest.raises(error) as caught:
                    made_transform(name, **{key: value})
                assert_names(caught.value, name, key, value)


@pytest.mark.parametrize("key", OPTIONS)
def test_an_option_is_of_its_type(key):
    inside, wrong, outside = OPTIONS[key]
    for value in inside:
        made("Adam", **{key: value})
    for error, values in ((TypeError, wrong), (ValueError, outside)):
        for value in values:
            with pytest.raises(error, match=key):
                made("Adam", **{key: value})

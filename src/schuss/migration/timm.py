"""timm's optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch

from schuss.contract import Group, State
from schuss.migration.formats import Format

_USUAL: Final[Mapping[str, tuple[Any, str]]] = {
    "caution": (False, "give the optimizer transforms=[Cautious()]"),
    "corrected_weight_decay": (False, "give it weight_decay=CorrectedDecay(...)"),
    "clipping_threshold": (None, "give it transforms=[ClipByNorm(...)]"),
}
_NOTES: Final[Mapping[str, None]] = {"max_lr_snapshot": None, "foreach": None}
_DECOUPLED: Final[Mapping[str, str | None]] = {"decoupled_decay": "decoupled_weight_decay"}


def _lamb(group: Group) -> Group:
    """Return the bound of the trust ratio, and whether there is one: not without a decay."""
    return {
        "lamb_max_trust_ratio": 1.0 if group["trust_clip"] else None,
        "layer_adaptation": bool(group["weight_decay"] or group["always_adapt"]),
    }


def _adan(state: State, group: Group) -> State:
    """Return a state with the last gradient, which is kept with the other sign there."""
    last = state.pop("neg_pre_grad")
    return {**state, "previous_grad": -last}


def _laprop(state: State, group: Group) -> State:
    """Return a state with a mean of updates; there the mean has the learning rate in it.

    The mean learning rate is known, and it is the learning rate if that was constant.
    """
    beta1, step = group["betas"][0], int(state["step"])
    rate = state["exp_avg_lr_1"] / (1 - beta1**step)
    kept = {key: value for key, value in state.items() if not key.startswith("exp_avg_lr_")}
    return {**kept, "exp_avg": state["exp_avg"] / rate if rate else state["exp_avg"]}


def _rmsprop(state: State, group: Group) -> State:
    """Return a state with a buffer of momentum, which is there in any case here."""
    buffer = state.get("momentum_buffer")
    zeros = torch.zeros_like(state["square_avg"]) if buffer is None else buffer
    return {**state, "momentum_buffer": zeros}


def _mars(state: State, group: Group) -> State:
    """Return a state with the number of dimensions of the parameter."""
    return {**state, "dims": str(state["exp_avg"].dim())}


FORMATS: Final[Mapping[str, Format]] = {
    "timm.Adan": Format(
        "Adan",
        renamed=_NOTES,
        counted="step",
        state_of=_adan,
        usual={
            **_USUAL,
            "no_prox": (False, "give the optimizer weight_decay=WeightDecay(...)"),
        },
    ),
    "timm.Adopt": Format(
        "ADOPT",
        renamed={
            "clip_exp": "clip_exponent",
            "decoupled": "decoupled_weight_decay",
            **_NOTES,
        },
        usual=_USUAL,
    ),
    "timm.Lamb": Format(
        "LAMB",
        renamed={**dict.fromkeys(("trust_clip", "always_adapt")), **_NOTES},
        counted="step",
        usual={
            **_USUAL,
            "decoupled_decay": (False, "give the optimizer weight_decay=WeightDecay(...)"),
            "max_grad_norm": (None, "give the optimizer transforms=[ClipByGlobalNorm(...)]"),
            "grad_averaging": (True, "the first moment is an average of gradients here"),
        },
        group_of=_lamb,
    ),
    "timm.LaProp": Format("LaProp", renamed=_NOTES, usual=_USUAL, state_of=_laprop),
    "timm.Lars": Format(
        "LARS",
        renamed={"trust_coeff": "trust_coefficient", "always_adapt": None},
        usual={
            "trust_clip": (False, "the local rate has no bound here"),
            "dampening": (0, "the momentum has no dampening here"),
        },
    ),
    "timm.Lion": Format("Lion", renamed=_NOTES, usual=_USUAL),
    "timm.Mars": Format(
        "MARS",
        renamed={"gamma": "kappa"},
        state_of=_mars,
        usual={**_USUAL, "mars_type": ("adamw", "only MARS-AdamW is here")},
    ),
    "timm.NAdamW": Format("NAdamW", renamed=_NOTES, usual=_USUAL),
    "timm.NvNovoGrad": Format(
        "NovoGrad",
        renamed=_NOTES,
        state={"step": None},
        usual={
            **_USUAL,
            "decoupled_decay": (False, "give the optimizer weight_decay=WeightDecay(...)"),
            "amsgrad": (False, "NovoGrad keeps no largest moment here"),
        },
    ),
    "timm.RMSpropTF": Format(
        "RMSpropTF",
        renamed={**_DECOUPLED, **_NOTES},
        state={"step": None},
        state_of=_rmsprop,
        usual={
            **_USUAL,
            "centered": (False, "RMSpropTF is not centered here"),
            "lr_in_momentum": (True, "the learning rate is a factor of the momentum here"),
        },
    ),
}
"""Formats of timm."""

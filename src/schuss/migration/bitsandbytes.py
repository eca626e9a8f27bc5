"""bitsandbytes, with state of 32 bits, and of 8 bits in blocks, whose codes stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.migration.codes import of_map
from schuss.migration.formats import Format

_NESTED: Final = "__bnb_optimizer_quant_state__"
"""The key under which newer versions keep the tensors of a state, away from FSDP."""

_BLOCK: Final = 256  # numbers that share a scale


def buffer(state: Mapping[str, Any], number: int) -> Tensor:
    """Return a buffer as it is, or encoded; or decoded if its map is not one of those here.

    Args:
        state: The state, without nesting.
        number: The number of the buffer.

    Raises:
        ValueError: There is one scale for the whole tensor, as in versions before 0.36.
    """
    codes: Tensor = state[f"state{number}"]
    if codes.dtype is not torch.uint8:
        return codes
    if f"absmax{number}" not in state:
        raise ValueError(
            "the state has 8 bits and one scale for each tensor, which is not known here; load it "
            "into an optimizer of bitsandbytes with optim_bits=32 and block_wise=True first"
        )
    numbers, scales = state[f"qmap{number}"], state[f"absmax{number}"]
    found = of_map(codes, scales, numbers, codes.shape)
    if found is not None:
        return found
    values = numbers[codes.flatten().long()]
    each = scales.repeat_interleave(_BLOCK)[: values.numel()]
    decoded: Tensor = values * each.to(values.device)
    return decoded.reshape(codes.shape)


def _buffers(*names: str, counts: bool = True) -> Callable[[State, Group], State]:
    """Return a function that gives the buffers of a state their names here."""

    def named(state: State, group: Group) -> State:
        flat = {**state, **state.get(_NESTED, {})}
        made: State = {name: buffer(flat, n) for n, name in enumerate(names, start=1)}
        return {"step": flat["step"], **made} if counts else made

    return named


def _ademamix(state: State, group: Group) -> State:
    """Return a state with both means, which are one tensor there, each in blocks of its own."""
    flat = {**state, **state.get(_NESTED, {})}
    made: State = {"step": flat["step"], "exp_avg_sq": buffer(flat, 2)}
    for mean, key in enumerate(("exp_avg", "exp_avg_slow")):
        own = {part: flat[part][mean] for part in ("state1", "absmax1") if part in flat}
        made[key] = buffer({**flat, **own}, 1)
    return made


def _horizon(group: Group) -> Group:
    """Return the one number of steps in which both α and β₃ are reached."""
    alpha, beta3 = group["t_alpha"], group["t_beta3"]
    if alpha != beta3:
        raise ValueError(
            f"the checkpoint has t_alpha={alpha} and t_beta3={beta3}, and AdEMAMix has one number "
            "for both, t_alpha_beta3"
        )
    return {"t_alpha_beta3": alpha}


_HORIZONS: Final = dict.fromkeys(("t_alpha", "t_beta3"))
_DECOUPLED: Final = {"decoupled_weight_decay": True}
_ADDED: Final = {"decoupled_weight_decay": False}

_FORMATS: Final[Mapping[str, Format]] = {
    # Both decay the weight itself there.
    **{
        name: Format(
            name,
            renamed={"alpha": None, **_HORIZONS},
            values=_DECOUPLED,
            state_of=_buffers("exp_avg", "exp_avg_sq"),
        )
        for name in ("Adam", "AdamW")
    },
    "AdEMAMix": Format(
        "AdEMAMix", renamed=_HORIZONS, values=_DECOUPLED, state_of=_ademamix, group_of=_horizon
    ),
    "Lion": Format(
        "Lion",
        renamed={"eps": None},
        values=_DECOUPLED,
        state_of=_buffers("exp_avg", counts=False),
    ),
    "SGD": Format(
        "SGD",
        renamed=dict.fromkeys(("betas", "eps")),
        values=_ADDED,
        state_of=_buffers("momentum_buffer", counts=False),
        group_of=lambda group: {"momentum": group["betas"][0]},
    ),
    "RMSprop": Format(
        "RMSprop",
        renamed={"betas": None},
        values=_ADDED,
        state_of=_buffers("square_avg"),
        group_of=lambda group: {"alpha": group["betas"][0]},
    ),
    "Adagrad": Format("Adagrad", renamed={"betas": None}, values=_ADDED, state_of=_buffers("sum")),
}

FORMATS: Final[Mapping[str, Format]] = {
    f"bitsandbytes.{name}{bits}": form
    for name, form in _FORMATS.items()
    for bits in ("", "32bit", "8bit")
}
"""Formats of bitsandbytes: by class, and by the classes with a fixed number of bits."""

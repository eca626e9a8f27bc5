"""Packages that authors of a paper have published for their own optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schuss.contract import Group, State
from schuss.migration.formats import Format

_OWN_WAY: Final[Mapping[str, None]] = {"fsdp_in_use": None, "log_every": None, "foreach": None}
"""Hyper-parameters that say how a step is run there."""

_SLICES: Final = (1, "the estimate is made of all numbers here, so the checkpoint does not fit")


def _prodigy(state: State, group: Group) -> State:
    """Return a state whose flat vectors have the shape of the parameter."""
    shape = state["exp_avg_sq"].shape
    return {**state, "s": state["s"].reshape(shape), "p0": state["p0"].reshape(shape)}


def _estimated(group: Group) -> Group:
    """Return the estimate for the next step, which is the only one there."""
    return {"next_d": group["d"], "rate": float(group["lr"] * group["d"])}


def _came(state: State, group: Group) -> State:
    """Return a state whose statistics of rows and columns are matrices of one column or row."""
    lines = {"row": -1, "col": -2}
    return {
        key: value.unsqueeze(lines[key[-3:]]) if key[-3:] in lines else value
        for key, value in state.items()
    }


def _averaged(group: Group) -> Group:
    """Refuse parameters that are the mean, from which the trained weights do not follow."""
    if not group.get("train_mode", True):
        raise ValueError(
            "the checkpoint was saved after optimizer.eval(), when the parameters were the mean of "
            "the weights; call optimizer.train() there, and save the model and the optimizer again"
        )
    return {}


def _schedule_free(algorithm: str) -> Format:
    return Format(
        algorithm,
        renamed={"train_mode": None, "scheduled_lr": None, **_OWN_WAY},
        counted="k",
        shared=("lr_max", "weight_sum"),
        group_of=_averaged,
    )


FORMATS: Final[Mapping[str, Format]] = {
    "prodigyopt.Prodigy": Format(
        "Prodigy",
        renamed={
            "d_numerator": "numerator",
            "decouple": "decoupled_weight_decay",
            **dict.fromkeys(("d_denom", "d_hat")),
            **_OWN_WAY,
        },
        usual={"slice_p": _SLICES},
        state_of=_prodigy,
        group_of=_estimated,
    ),
    **{
        f"schedulefree.{name}": _schedule_free(name)
        for name in ("AdamWScheduleFree", "SGDScheduleFree", "RAdamScheduleFree")
    },
    **{
        f"dadaptation.{name}": Format(
            name,
            renamed={
                "numerator_weighted": "numerator",
                "decouple": "decoupled_weight_decay",
                **_OWN_WAY,
            },
            state={"z": None},
            group_of=_estimated,
        )
        for name in ("DAdaptAdam", "DAdaptLion", "DAdaptSGD")
    },
    "came_pytorch.CAME": Format("CAME", state={"step": None, "RMS": None}, state_of=_came),
    "adam_atan2_pytorch.AdamAtan2": Format(
        "AdamAtan2",
        state={"steps": "step"},
        usual={
            "regen_reg_rate": (0.0, "leave it out, or write a decay object"),
            "cautious_wd": (False, "give the optimizer transforms=[CautiousDecay(...)]"),
        },
        renamed={"cautious_factor": None},
    ),
}
"""Formats of these packages."""

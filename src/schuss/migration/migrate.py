"""The function that makes a checkpoint of schuss of that of another package."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

from torch import Tensor

from schuss import loading, optimizers
from schuss.migration import authors, bitsandbytes, codes, flashoptim, timm, torchao
from schuss.migration.formats import Format
from schuss.storage.codecs.saved import all_taken_apart

FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        **authors.FORMATS,
        **bitsandbytes.FORMATS,
        **flashoptim.FORMATS,
        **timm.FORMATS,
        **torchao.FORMATS,
    }
)
"""The formats by the name of the package and of the class, as in `"prodigyopt.Prodigy"`."""


def migrated(
    name: str, state_dict: Mapping[str, Any], params: Iterable[Tensor] = ()
) -> dict[str, Any]:
    """Return the checkpoint of another package's optimizer as one of the same algorithm here.

    The result shares tensors with the checkpoint where nothing had to be made of them. State of 8
    or 4 bits is codes and scales there, which an optimizer keeps if its `state_storage` names their
    codec. A warning names options that are transforms or decay objects of an optimizer here.

    Args:
        name: The package and the class, such as `"prodigyopt.Prodigy"`; see `FORMATS`.
        state_dict: The dictionary that its `state_dict` returned.
        params: The parameters in their order there, with the weights that were saved. Only
            flashoptim with `master_weight_bits` needs them.

    Raises:
        ValueError: There is no such format, or the checkpoint is not of it.
        TypeError: It is no checkpoint.

    Example:
        >>> import torch
        >>> from schuss import AdamWScheduleFree
        >>> from schuss.migration import migrated
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> state = {"z": torch.zeros(2), "exp_avg_sq": torch.ones(2)}
        >>> group = {"params": [0], "k": 7, "lr_max": 0.5, "weight_sum": 1.75, "train_mode": True}
        >>> saved = {"state": {0: state}, "param_groups": [group]}
        >>> optimizer = AdamWScheduleFree([weight], lr=0.5)
        >>> optimizer.load_state_dict(migrated("schedulefree.AdamWScheduleFree", saved))
        >>> optimizer.state[weight]["step"]
        7
    """
    form, saved = _format(name), loading.read(state_dict)
    rule = loading.rule_of(getattr(optimizers, form.algorithm))
    states = _states(name, form, saved, list(params))
    groups = []
    for number, group in enumerate(saved.groups):
        with _told(f"group {number} in the checkpoint of {name}"):
            groups.append({**form.group(name, number, group), loading.RULE: rule})
    return {"state": states, "param_groups": groups}


def _format(name: str) -> Format:
    form = FORMATS.get(name)
    if form is None:
        close = difflib.get_close_matches(name, FORMATS, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(FORMATS)}"
        raise ValueError(f"no format {name!r}; {hint}")
    return form


def _states(
    name: str, form: Format, saved: loading.Checkpoint, params: Sequence[Tensor]
) -> dict[Any, Any]:
    """Return the states of parameters; what belongs to none is of that package, and left out."""
    group_of = {number: group for group in saved.groups for number in group["params"]}
    if params and len(params) != len(group_of):
        raise ValueError(
            f"{len(params)} parameters are given, and the checkpoint of {name} has {len(group_of)}"
        )
    param_of = dict(zip(group_of, params, strict=False))
    states: dict[Any, Any] = {}
    for number, values in saved.state.items():
        if number in group_of:
            where = f"parameter {number!r} in the checkpoint of {name}"
            if not isinstance(values, Mapping):
                raise TypeError(f"the state of {where} is {values!r}; it must be a dictionary")
            with _told(f"the state of {where}"):
                theirs = {key: codes.kept(value) for key, value in values.items()}
                states[number] = all_taken_apart(
                    form.state_for(theirs, group_of[number], param_of.get(number))
                )
    return states


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Make of a missing key in the block an error that names the place."""
    try:
        yield
    except (KeyError, AttributeError) as error:
        raise ValueError(f"{where} is of another optimizer: {error!r}") from error

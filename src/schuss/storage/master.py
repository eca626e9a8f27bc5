"""Master weights: a float32 copy of a half-precision parameter, which receives the updates.

A bfloat16 weight near 1 cannot move by less than 0.004, so an update of 0.001 is rounded away, a
thousand times in a row. The master weight keeps the bits that the parameter cannot hold.

Micikevicius et al., *Mixed Precision Training*, 2018, section 3.1.
<https://arxiv.org/abs/1710.03740>
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.storage.precision import HALF, rounds_to

KEY = "master_param"


def wants_master(group: Group, param: Tensor) -> bool:
    """Tell whether `param` needs a master weight and its group asks for one."""
    return bool(group["master_weights"]) and param.dtype in HALF


def new_master(param: Tensor) -> Tensor:
    """Return the master weight that a parameter starts with: its values in float32."""
    return param.detach().float()


def begin(state: State, param: Tensor) -> None:
    """Give a state that has none a master weight; it is in float32 from here on."""
    for key, value in state.items():
        if isinstance(value, Tensor) and value.dtype in HALF:
            state[key] = value.float()
    state[KEY] = new_master(param)


def is_untouched(master: Tensor, param: Tensor) -> Tensor:
    """Tell where a parameter is its master, rounded, bit for bit."""
    return rounds_to(param.dtype, master, param)


def synchronized_master(
    state: State,
    param: Tensor,
    untouched: Callable[[Tensor, Tensor], Tensor] = is_untouched,
) -> Tensor:
    """Return the master weight, with the values of `param` that were changed since the last step.

    Where the master rounds to the parameter, the parameter is as the last step left it. Elsewhere
    it was written from outside (loaded weights, pruning, averaging), and wins.

    Args:
        state: The state of the parameter.
        param: The parameter.
        untouched: Tells where a parameter is its master, rounded.
    """
    master: Tensor | None = state.get(KEY)
    if master is None:
        state[KEY] = master = new_master(param)
        return master
    return master.copy_(torch.where(untouched(master, param), master, param.float()))

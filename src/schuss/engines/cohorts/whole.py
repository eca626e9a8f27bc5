"""Parameters and states that functions of whole tensors may be given as they lie in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from schuss.engines.cohorts.contents import Member
from schuss.engines.program.program import GRAD, PARAM, STATE, Place
from schuss.engines.tracing.tape import Whole
from schuss.storage.codecs import Encoded


def whole_of(
    member: Member, inputs: Sequence[Place], keys: Iterable[str], dtype: torch.dtype
) -> Whole:
    """Return the tensors that functions of whole tensors may be given as they lie in memory.

    Args:
        member: A parameter of a cohort.
        inputs: The places that a program for the cohort reads.
        keys: Keys of the state with tensors of another shape.
        dtype: The precision that the rule sees.
    """
    state = member.state
    kept = {key: torch.empty(state[key].shape, dtype=dtype, device="meta") for key in keys}
    dtypes = {GRAD: member.grad_dtype, PARAM: member.param.dtype}
    plain = {k: x for k, x in state.items() if isinstance(x, Tensor) and not isinstance(x, Encoded)}
    dtypes |= {STATE + key: x.dtype for key, x in plain.items()}
    direct = [
        n for n, at in enumerate(inputs) if dtypes.get(at.name) is dtype and not at.per_tensor
    ]
    return Whole(kept, frozenset(direct))

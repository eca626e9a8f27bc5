"""Random tensors that a rule makes while it is traced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from schuss.engines.errors import UnfusableError
from schuss.engines.tracing.tape import Tape


@contextmanager
def refusing_draws(tape: Tape) -> Iterator[None]:
    """Refuse a tensor that a rule draws at random, which would be the same for all parameters.

    A rule that calls `torch.rand_like` or `torch.randn_like` with a stand-in is no such rule: these
    numbers are drawn for each element, in the step.

    Raises:
        UnfusableError: Random numbers were drawn, and a function of whole tensors takes a tensor
            that the rule has made.
    """
    if tape.dimensions.whole is None:
        yield
        return
    before = torch.get_rng_state()
    yield
    if tape.blocks is None or not tape.blocks.has_constants:
        return
    if not torch.equal(before, torch.get_rng_state()):
        torch.set_rng_state(before)
        raise UnfusableError(
            "the rule draws a tensor at random, once for all parameters of a shape; draw it with "
            "torch.rand_like or torch.randn_like of a tensor that the rule was given"
        )

"""Random tensors that a rule makes while it is traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

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
    with _Generators() as before:
        yield
    drawn = [of for of, state in before.states.items() if not torch.equal(of.get_state(), state)]
    if drawn and tape.blocks is not None and tape.blocks.has_constants:
        for generator in drawn:
            generator.set_state(before.states[generator])
        raise UnfusableError(
            "the rule draws a tensor at random, once for all parameters of a shape; draw it with "
            "torch.rand_like or torch.randn_like of a tensor that the rule was given"
        )


class _Generators(TorchFunctionMode):
    """Notes in which state generators are before functions draw from them.

    Attributes:
        states: The states, that of torch's own generator among them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.states = {torch.default_generator: torch.default_generator.get_state()}

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch."""
        kwargs = kwargs or {}
        generator = kwargs.get("generator")
        if generator is not None and generator not in self.states:
            self.states[generator] = generator.get_state()
        return function(*args, **kwargs)

"""An optimizer whose parameters, gradients, state and groups are edited between steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import torch
from torch import Tensor, nn

import schuss
from schuss.storage.master import REMAINDER, weight_of

Groups = Sequence[dict[str, Any]]
Create = Callable[..., schuss.Optimizer]
Edit = Callable[["Subject", int, int], None]
"""Changes a subject, by two numbers of any size: which parameter, and a seed."""


class Room(Protocol):
    """Where tensors are kept."""

    def holding(self, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor."""

    def take_back(self, tensor: Tensor) -> None:
        """Let nobody touch the memory of a tensor from here on."""


class Heap:
    """Ordinary memory."""

    def holding(self, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor."""
        return tensor.detach().clone(memory_format=torch.preserve_format)

    def take_back(self, tensor: Tensor) -> None:
        """Do nothing."""


class Subject:
    """An optimizer with two groups.

    Attributes:
        optimizer: The optimizer.
        params: All parameters that it had at first, and those that were added.
        held: Tensors that somebody keeps.
        room: Where new tensors go.
        failures: The errors that edits raised.
        on_the_loop: It is the twin that the other one is compared with.
    """

    def __init__(
        self,
        create: Create,
        starts: Sequence[Sequence[Tensor]],
        room: Room,
        *,
        on_the_loop: bool,
        **engine: bool,
    ) -> None:
        self.room = room
        self.held: list[Any] = []
        self.failures: list[str] = []
        self.on_the_loop = on_the_loop
        groups = [[nn.Parameter(room.holding(x)) for x in group] for group in starts]
        self.params = [param for group in groups for param in group]
        self.optimizer = create([{"params": group} for group in groups], **engine)
        self._fresh: list[Tensor] = []

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups."""
        return self.optimizer.param_groups

    def param(self, which: int) -> nn.Parameter:
        """Return one of the parameters, by any number."""
        return self.params[which % len(self.params)]

    def group(self, which: int) -> dict[str, Any]:
        """Return one of the groups, by any number."""
        return self.groups[which % len(self.groups)]

    def tensor_key(self, which: int, seed: int) -> str:
        """Return a key under which the state of a parameter has a tensor.

        Raises:
            LookupError: It has none.
        """
        state = self.optimizer.state[self.param(which)]
        keys = [key for key, value in state.items() if isinstance(value, Tensor)]
        if not keys:
            raise LookupError("there is no tensor in the state")
        return keys[seed % len(keys)]

    def state(self, which: int) -> dict[str, Any]:
        """Return the state of one of the parameters, by any number."""
        return self.optimizer.state[self.param(which)]

    def random(self, like: Tensor, seed: int) -> Tensor:
        """Return random numbers for a tensor, the same for the same seed."""
        double = torch.complex128 if like.is_complex() else torch.float64
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(like.shape, generator=generator, dtype=double).to(like.dtype)

    def set_gradients(self, seed: int) -> None:
        """Give every parameter a gradient in new memory, and take back the memory of the last."""
        for grad in self._fresh:
            self.room.take_back(grad)
        self._fresh = [
            self.room.holding(self.random(p, seed + n)) for n, p in enumerate(self.params)
        ]
        for param, grad in zip(self.params, self._fresh, strict=True):
            param.grad = grad

    def edit(self, edit: Edit, which: int, seed: int, when: str = "now") -> None:
        """Make an edit, or make it in a hook of the next step, before or after what that does."""
        if when == "now":
            try:
                edit(self, which, seed)
            except Exception as error:  # noqa: BLE001  # torch raises what it likes
                self.failures.append(type(error).__name__)
            return
        handles: list[Any] = []

        def hook(*_: Any) -> None:
            handles.pop().remove()
            self.edit(edit, which, seed)

        optimizer = self.optimizer
        before = when == "before the step"
        register = optimizer.register_step_pre_hook if before else optimizer.register_step_post_hook
        handles.append(register(hook))

    def step(self) -> Exception | None:
        """Step, and return the error that it raised, if any."""
        try:
            self.optimizer.step()
        except Exception as error:  # noqa: BLE001  # the twins are compared in it
            return error
        return None

    def numbers(self) -> list[Tensor]:
        """Return copies of the parameters."""
        return [param.detach().clone() for param in self.params]

    def states(self) -> list[dict[str, Any]]:
        """Return copies of the states."""
        return [_copied(self.optimizer.state.get(param, {}), param) for param in self.params]


def _copied(state: dict[str, Any], param: Tensor) -> dict[str, Any]:
    """Return a copy of a state, with the weight in full in place of its lower half.

    A weight that crosses zero has lost places, and its lower half is only these.
    """
    copy = {key: x.clone() if isinstance(x, Tensor) else x for key, x in state.items()}
    if REMAINDER in state:
        with suppress(RuntimeError):  # the state has been edited, so that it is none
            copy[REMAINDER] = weight_of(state, param)
    return copy

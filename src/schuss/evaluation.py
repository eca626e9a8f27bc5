"""Evaluation of optimizers that train some weights and evaluate with others, such as a mean."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Protocol

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.modes import outside_of_modes
from schuss.storage import master


class Evaluating(Protocol):
    """The part of an optimizer that gives the weights to evaluate with, of one group."""

    def evaluated(self, state: State, group: Group, param: Tensor) -> Tensor:
        """Return the weights to evaluate with: a new tensor, or `param` itself."""


class Evaluated(Protocol):
    """The part of an optimizer that gives the weights to evaluate with."""

    param_groups: list[Group]

    @property
    def state(self) -> defaultdict[Any, State]:
        """The state of every parameter."""

    def algorithm_of(self, group: Group) -> Evaluating:
        """Return the optimizer whose rule and hyper-parameters a group has."""


class Evaluation:
    """Puts the weights to evaluate with into the parameters, and keeps the trained ones meanwhile.

    Attributes:
        is_on: Whether the parameters are the weights to evaluate with.
        trained: The trained weights, while evaluating, of the parameters that hold other weights.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.trained: dict[Tensor, Tensor] = {}
        # The version counters of parameters that hold other weights tell of later writes.
        self._versions: dict[Tensor, int] = {}

    @outside_of_modes
    def begin(self, optimizer: Evaluated) -> None:
        """Let the parameters be the weights to evaluate with; an error leaves them as they were."""
        self.is_on = True
        states = optimizer.state
        try:
            with torch.no_grad():
                for group in optimizer.param_groups:
                    for param in group["params"]:
                        if states.get(param):
                            self._swap_in(optimizer, states[param], group, param)
        except BaseException:
            self.end()
            raise

    @outside_of_modes
    def end(self) -> None:
        """Let the parameters be the trained weights again, as they were at the beginning."""
        with torch.no_grad():
            for param, trained in self.trained.items():
                param.copy_(trained)
        self.forget()

    def forget(self) -> None:
        """End without the trained weights, because the parameters have been loaded meanwhile."""
        self.trained.clear()
        self._versions.clear()
        self.is_on = False

    def check_training(self, optimizer: object) -> None:
        """Refuse to step while evaluating."""
        if self.is_on:
            raise RuntimeError(
                f"{type(optimizer).__name__} cannot step while evaluating: the parameters are not "
                "those that are trained; call `optimizer.train()` first, or leave the "
                "`with optimizer.evaluating()`"
            )

    def check_loading(self, optimizer: object) -> None:
        """Refuse to load a state while evaluating, unless the model has been loaded before."""
        if any(param._version == version for param, version in self._versions.items()):
            raise RuntimeError(
                f"{type(optimizer).__name__} cannot load a state while evaluating, because what is "
                "trained would be lost; call `optimizer.train()`, or leave the "
                "`with optimizer.evaluating()`, before you load the model and this"
            )

    def _swap_in(self, optimizer: Evaluated, state: State, group: Group, param: Tensor) -> None:
        weight = master.weight_of(state, param)
        evaluated = optimizer.algorithm_of(group).evaluated(state, group, weight)
        if evaluated is not weight:
            self.trained[param] = param.detach().clone()
            param.copy_(evaluated)
            self._versions[param] = param._version

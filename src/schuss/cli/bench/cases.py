"""A case: an optimizer and its hyper-parameters, and what a step of it has to move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from schuss.cli.errors import OptionError
from schuss.registry import create_optimizer, parse_spec

ADAMW: Final = "adamw"

_NUMBER: Final = 4  # bytes: every workload is in float32


@dataclass(frozen=True)
class Case:
    """An optimizer whose implementations are compared.

    Attributes:
        spec: The optimizer and its hyper-parameters, as they were asked for.
        states: How many numbers it remembers for each number of a parameter.
    """

    spec: str
    states: int

    @property
    def name(self) -> str:
        """Its name in the registry."""
        return parse_spec(self.spec)[0].lower()

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The hyper-parameters of every implementation; torch and we have the same names."""
        return parse_spec(self.spec)[1]

    def bytes(self, numbers: int) -> int:
        """Return what a step has to move for `numbers` numbers, in bytes.

        It reads the parameter, the gradient and the state; it writes the parameter and the state.
        """
        return (3 + 2 * self.states) * _NUMBER * numbers

    def footprint(self, numbers: int) -> int:
        """Return how much memory the parameters, gradients and state take, in bytes."""
        return (2 + self.states) * _NUMBER * numbers


def parse_case(spec: str) -> Case:
    """Return the case that `spec` writes.

    Raises:
        OptionError: There is no such optimizer, or it does not take these hyper-parameters.

    Example:
        >>> parse_case("sgd:lr=0.1,momentum=0.9")
        Case(spec='sgd:lr=0.1,momentum=0.9', states=1)
    """
    # Two steps, because some create state in the first. No two dimensions are alike, so that
    # state for rows or columns is not taken for state of the whole.
    param = nn.Parameter(torch.ones(2, 3, 5))
    try:
        name, options = parse_spec(spec)
        optimizer = create_optimizer(name, [param], **options, foreach=False)
        for _ in range(2):
            param.grad = torch.ones_like(param)
            optimizer.step()
    except (TypeError, ValueError) as error:
        raise OptionError(f"--optimizer {spec}: {error}") from None
    values = optimizer.state[param].values()
    whole = [value for value in values if isinstance(value, Tensor) and value.shape == param.shape]
    return Case(spec, states=len(whole))

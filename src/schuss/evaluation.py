"""Evaluation of optimizers that train some weights and evaluate with others, such as a mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from schuss.checkpoint import Checkpointed
from schuss.contract import Group, State
from schuss.storage import master
from schuss.storage.precision import HALF


class Evaluating(Checkpointed):
    """The part of an optimizer that changes between training and evaluating."""

    _mode: dict[str, bool]
    """Whether the parameters are the weights to evaluate with. In a dictionary, like all that
    changes, because Lightning's wrapper shares attributes with the optimizer, but not assignments.
    """
    _versions: dict[Tensor, int]
    """The version counters of parameters that hold other weights, which tell of later writes."""

    def evaluated(self, state: State, group: Group, param: Tensor) -> Tensor:
        """Return the weights to evaluate with; override it if they are not `param` itself.

        Args:
            state: The parameter's state; only read.
            group: The hyper-parameters.
            param: The parameter, or its master weight; only read.
        """
        return param

    def eval(self) -> None:
        """Let the parameters be the weights to evaluate with, until `train` is called.

        The Trainer of Hugging Face and Accelerate's wrapper call it. Until then `step` raises, and
        a `state_dict` also holds the trained weights: a training that loads the model first and
        then the optimizer goes on as if nothing had been saved. With an optimizer that has no other
        weights to evaluate with, this does nothing; nor does a second call.
        """
        if self._mode["evaluating"] or not self._has_other_weights():
            return
        self._end_compiled()
        self._mode["evaluating"] = True
        try:
            with torch.no_grad():
                for group in self.param_groups:
                    for param in group["params"]:
                        if self.state.get(param):
                            self._swap_in(self.state[param], group, param)
        except BaseException:
            self.train()
            raise

    def train(self) -> None:
        """Let the parameters be the trained weights again, as they were when `eval` was called."""
        with torch.no_grad():
            for param, trained in self._trained.items():
                param.copy_(trained)
        self._end()

    def _end(self) -> None:
        self._trained.clear()
        self._versions.clear()
        self._mode["evaluating"] = False

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Let the parameters be the weights to evaluate with, as `eval` does.

        On leaving, whatever happened, they are again what they were.

        Example:
            >>> import torch
            >>> from schuss import EMA, SGD
            >>> weight = torch.nn.Parameter(torch.tensor([0.0]))
            >>> optimizer = SGD([weight], lr=1.0, transforms=[EMA(0.5)])
            >>> weight.grad = torch.tensor([1.0])
            >>> optimizer.step()
            >>> with optimizer.evaluating():
            ...     print(weight.item())
            -0.5
            >>> weight.item()
            -1.0
        """
        before = self._mode["evaluating"]
        self.eval()
        try:
            yield
        finally:
            if before:
                self.eval()
            else:
                self.train()

    def _has_other_weights(self) -> bool:
        raise NotImplementedError

    def _swap_in(self, state: State, group: Group, param: Tensor) -> None:
        weight = state.get(master.KEY, param)
        weight = weight.float() if weight.dtype in HALF else weight
        evaluated = self.evaluated(state, group, weight)
        if evaluated is not weight:
            self._trained[param] = param.detach().clone()
            param.copy_(evaluated)
            self._versions[param] = param._version

    def _check_training(self) -> None:
        if self._mode["evaluating"]:
            raise RuntimeError(
                f"{type(self).__name__} cannot step while evaluating: the parameters are not those "
                "that are trained; call `optimizer.train()` first, or leave the "
                "`with optimizer.evaluating()`"
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore state and hyper-parameters; see `Checkpointed.load_state_dict`.

        It ends evaluating, if the model has been loaded since that began.

        Raises:
            RuntimeError: The optimizer is evaluating, and the model has not been loaded before.
                Nothing has been changed then.
        """
        if any(param._version == version for param, version in self._versions.items()):
            raise RuntimeError(
                f"{type(self).__name__} cannot load a state while evaluating, because what is "
                "trained would be lost; call `optimizer.train()`, or leave the "
                "`with optimizer.evaluating()`, before you load the model and this"
            )
        super().load_state_dict(state_dict)
        self._end()

"""The methods of every optimizer that save and load it.

`torch.optim.Optimizer` has `state_dict` and `load_state_dict`, and trainers call them, so they keep
the arguments and the meaning that they have there: parameters are told by their number.
`load_by_name` is beside them, because a training goes on with another model only by names.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from schuss import checkpoint, fullweights, loading
from schuss.engines import CompiledSteps, Engine
from schuss.evaluation import Evaluation
from schuss.groupchecks import GroupChecks
from schuss.loading import LoadReport, Rename


class Checkpointed(torch.optim.Optimizer):
    """An optimizer that can be saved and loaded."""

    _group_checks: GroupChecks
    _evaluation: Evaluation
    _compiled_steps: CompiledSteps
    _engine: Engine

    @property
    def _whole(self) -> Any:
        """The optimizer with the methods of `Optimizer`, which are below this class."""
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the groups, in the form of `torch.optim`: `step` is a 0-d tensor.

        A group has the name of its rule as well, by which loading tells another optimizer's state.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        self._compiled_steps.end(self._whole, self._engine)
        saved = checkpoint.saved(self._whole, self.state, self._evaluation.trained)
        return checkpoint.hooked(self._optimizer_state_dict_post_hooks, self, saved)

    def load_state_dict(self, state_dict: dict[str, Any], *, keep: Sequence[str] = ()) -> None:
        """Restore state and hyper-parameters from a `state_dict`, ours or one of `torch.optim`.

        Parameters are told by their number, as in torch; `load_by_name` tells them by name.

        Tensors are copied, to the precision in which this optimizer keeps them. How a step is run
        (`foreach`, `fused`, `capturable`, `differentiable`) stays as it was constructed. If it was
        taken while evaluating, the parameters become what was trained. Loading ends evaluating. An
        error leaves everything as it was. A warning tells how much has changed of state that is
        kept in fewer bytes, and was saved in another way.

        Args:
            state_dict: The dictionary that `state_dict` returned.
            keep: Hyper-parameters that stay as they are here, such as `("lr", "weight_decay")`,
                and with one the notes of torch's schedulers on it.

        Raises:
            ValueError: It is of other parameters, of another optimizer, has a value outside of its
                domain or of another shape or kind, or no step can be taken from its state; or no
                group has a hyper-parameter of `keep`.
            TypeError: It is no `state_dict`.
            RuntimeError: The optimizer is evaluating, and the model has not been loaded before.
        """
        made = self._load(self._unwrapped(state_dict), keep, {})
        if made.recoded:
            lines = "; ".join(loading.told(made.recoded))
            warnings.warn(
                f"the state was saved otherwise than state_storage keeps it: {lines}", stacklevel=2
            )

    def load_by_name(
        self,
        state_dict: dict[str, Any],
        model: nn.Module | None = None,
        *,
        saved_names: nn.Module | Iterable[str] | None = None,
        rename: Rename | None = None,
        strict: bool = True,
        keep: Sequence[str] = (),
    ) -> LoadReport:
        """Restore a `state_dict` for the parameters that have the same names, in whatever order.

        All else is as with `load_state_dict`. A parameter may have moved to another group, which
        then gets the hyper-parameters that it was saved with. `LoadReport` has an example.

        Args:
            state_dict: The dictionary that `state_dict` returned, here or in `torch.optim`, or that
                of `torch.distributed.checkpoint`.
            model: The model, unless the optimizer was created with `model.named_parameters()`.
            saved_names: The model that was saved, or the names of its parameters in their order, if
                the saved optimizer was created without names.
            rename: The names of parameters now, by those in the checkpoint: a dictionary of those
                that differ, or a function. None in place of a name leaves a parameter out.
            strict: Refuse parameters that only one side has. Otherwise those that are new keep
                their state, if they have any.
            keep: See `load_state_dict`.

        Raises:
            ValueError: See `load_state_dict`; or parameters have no names, or differ.
            TypeError: See `load_state_dict`.
            RuntimeError: See `load_state_dict`.
        """
        saved = loading.read(self._as_one(self._unwrapped(state_dict)))
        own = loading.own_names(self.param_groups, model)
        theirs = loading.saved_names(saved.groups, saved_names)
        found = loading.matched(own, theirs, rename, strict=strict)
        keep = (*keep, *self._stays)
        arranged = loading.arranged(saved, self._whole, found, keep)
        made = self._load(arranged, keep, found.names)
        return replace(found.report, recoded=tuple(made.recoded))

    def master(self, param: Tensor) -> Tensor:
        """Return the weight of a parameter in full: a copy, in float32 at least.

        While evaluating it is the weight that is trained.

        Args:
            param: A parameter of this optimizer.

        Raises:
            ValueError: It is of no group.
        """
        return fullweights.full_weight(self._whole, self._evaluation, param)

    def float32_state_dict(self, model: nn.Module) -> dict[str, Any]:
        """Return the `state_dict` of a model in float32, with the weights in full.

        Tensors in other precisions are there as they are, and are no copies, as in torch. While
        evaluating, the weights are those to evaluate with, as far as the model holds them.

        Args:
            model: The model, whose parameters this optimizer trains.
        """
        return fullweights.full_state_dict(self._whole, self._evaluation, model)

    def load_float32_state_dict(
        self, model: nn.Module, state_dict: Mapping[str, Any], *, strict: bool = True
    ) -> Any:
        """Load a model in float32 into one in half precision, and what that cannot hold in here.

        Args:
            model: The model, whose parameters this optimizer trains.
            state_dict: A dictionary from `float32_state_dict`, or the `state_dict` of a model in
                float32.
            strict: Refuse keys that only one side has, as `model.load_state_dict` does.

        Returns:
            The keys that are missing and those that are unexpected, as torch does.

        Raises:
            RuntimeError: Keys or shapes differ, or the optimizer is evaluating.
        """
        parts = self._whole, self._engine, self._evaluation
        return fullweights.load_full_state_dict(*parts, model, state_dict, strict=strict)

    @property
    def _stays(self) -> tuple[str, ...]:
        """The keys of a group that loading by name leaves as they are."""
        return ()

    def _as_one(self, state_dict: Any) -> Any:
        """Return a checkpoint as a dictionary."""
        return state_dict

    def _unwrapped(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Return what the hooks make of a checkpoint, if it can be loaded now."""
        self._evaluation.check_loading(self)
        hooks = self._optimizer_load_state_dict_pre_hooks
        return checkpoint.hooked(hooks, self, copy(state_dict))

    def _load(
        self, state_dict: dict[str, Any], keep: Sequence[str], names: Mapping[Tensor, str]
    ) -> checkpoint.Loaded:
        made = checkpoint.loaded(self._whole, self._group_checks, state_dict, keep, names)
        made.put_into(self)
        self._evaluation.forget()
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)
        return made

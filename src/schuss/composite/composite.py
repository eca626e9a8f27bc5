"""One optimizer for the whole model: each group of parameters has the rule of its part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from schuss.composite.deciding import decided
from schuss.composite.facts import frozen_in
from schuss.composite.parts import ALGORITHM, joined
from schuss.composite.saved import as_one, as_own
from schuss.composite.table import Routes
from schuss.contract import Group, Pass
from schuss.curvature import TakesSamples
from schuss.optimizer import Optimizer
from schuss.stepped import for_all

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT

    from schuss.composite.deciding import Route
    from schuss.transforms import Transform


class Composite(TakesSamples):
    """Steps the parameters of one model with several optimizers, its parts.

    A part is given as a recipe, which is an optimizer without parameters. A route decides which
    part steps which parameter. Everything else there is once: `param_groups`, `state_dict`, `step`.
    So a schedule, a closure, a `GradScaler`, a hook or a checkpoint is that of the whole model. A
    group has the name of its part under the key `algorithm`.

    Args:
        params: The model, for its trainable parameters. Or named parameters, which can be told by
            name and shape only; or groups as dictionaries, each with the name of its part under
            `algorithm`, for which there is no route.
        route: Lines that decide, each of the name of a part and a predicate from
            `schuss.composite`, and hyper-parameters if the parameters of the line have their own.
            The first line whose predicate holds decides about a parameter. Without a route the
            parts must be called `hidden` and `rest`: the matrices within the model go to `hidden`,
            and embeddings, output layers, vectors and all else go to `rest`.
        exempt_bias_and_norm: Without a route, put biases, parameters of normalization layers and
            other vectors into a group of their own, without weight decay.
        transforms: Transforms around all parts, so that a norm is that of all gradients. They come
            before the transforms of a part.
        maximize: See `schuss.Options`, as for those below. A recipe may differ from them.
        master_weights: See above.
        rounding: See above.
        state_storage: See above.
        differentiable: See above.
        foreach: See above.
        fused: See above.
        capturable: See above.
        **parts: The recipes by name.

    Raises:
        TypeError: A part is no recipe, or a line is none.
        ValueError: A part has parameters, a line names no part or decides about nothing, or a
            parameter is left over.

    Example:
        >>> import torch
        >>> from schuss import SGD, AdamW, Composite
        >>> from schuss.composite import everything, ndim
        >>> model = torch.nn.Linear(3, 2)
        >>> route = [("matrices", ndim == 2), ("rest", everything)]
        >>> optimizer = Composite(model, matrices=SGD(lr=0.1), rest=AdamW(lr=1e-3), route=route)
        >>> [(g["algorithm"], g["lr"], g["param_names"]) for g in optimizer.param_groups]
        [('matrices', 0.1, ['weight']), ('rest', 0.001, ['bias'])]
    """

    def __init__(
        self,
        params: nn.Module | ParamsT,
        *,
        route: Route | None = None,
        exempt_bias_and_norm: bool = False,
        transforms: Sequence[Transform] = (),
        maximize: bool = False,
        master_weights: bool | Literal[24] = False,
        rounding: Literal["stochastic", "kahan"] | None = None,
        state_storage: str | Mapping[str, str] | None = None,
        differentiable: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
        **parts: Optimizer,
    ) -> None:
        options = {
            "maximize": maximize,
            "master_weights": master_weights,
            "rounding": rounding,
            "state_storage": state_storage,
            "differentiable": differentiable,
            "foreach": foreach,
            "fused": fused,
            "capturable": capturable,
        }
        if not parts:
            raise TypeError("Composite has no parts; give recipes by name, as in rest=AdamW()")
        transforms = tuple(transforms)
        self._parts = {k: joined(k, part, transforms, options) for k, part in parts.items()}
        parts, is_exempt = self._parts, exempt_bias_and_norm
        self._frozen = frozen_in(params)
        groups, self._decisions = decided(params, route, parts, exempt_bias_and_norm=is_exempt)
        Optimizer.__init__(self, groups, {}, transforms=transforms)
        self.defaults = self._common()

    @property
    def _stays(self) -> tuple[str, ...]:
        """The keys of a group that loading by name leaves as they are: its part."""
        return (ALGORITHM,)

    def _common(self) -> dict[str, Any]:
        """Return the defaults that all parts have, by which a schedule tells what it may change."""
        first, *others = (part.defaults for part in self._parts.values())
        keys = [key for key in first if all(key in other for other in others)]
        return {key: first[key] for key in keys if key != ALGORITHM}

    def _check_rule(self, name: str) -> None:
        """Accept that the rules are those of the parts."""

    def routes(self) -> Routes:
        """Return which part steps which parameter, and why. `print` shows it as a table."""
        return Routes(self.param_groups, self._parts, self._decisions, self._frozen)

    def algorithm_of(self, group: Group) -> Optimizer:
        """Return the part that steps a group.

        Raises:
            ValueError: The group names none.
        """
        part = self._parts.get(group.get(ALGORITHM, ""))
        if part is None:
            given = f"{ALGORITHM}={group[ALGORITHM]!r}" if ALGORITHM in group else "no 'algorithm'"
            raise ValueError(
                f"a parameter group of Composite has {given}; it must be the name of a part: "
                f"{', '.join(map(repr, self._parts))}"
            )
        return part

    def passes(self) -> list[Pass]:
        """Return the measurements of a step: those over all parts, then those within each."""
        groups, count = self.param_groups, len(self.transforms)
        own = [self.algorithm_of(group).measurements(after=count) for group in groups]
        names = [group[ALGORITHM] for group in groups]
        passes = for_all(self._chain.measures(None), groups)
        for n in range(max([0, *[len(each) for each in own]])):  # which Dynamo can trace
            passes.append(Pass([each[n] if n < len(each) else None for each in own], names))
        return passes

    def summed(self, groups: Sequence[Group]) -> None:
        """Let each part change its hyper-parameters by what was measured of its parameters."""
        for name, part in self._parts.items():
            measured = [group for group in groups if group[ALGORITHM] == name]
            if measured and part.overrides("summed"):
                part.param_groups = [g for g in self.param_groups if g[ALGORITHM] == name]
                part.summed(measured)

    def overrides(self, method: str) -> bool:
        """Tell whether a part has a method of its own."""
        return any(part.overrides(method) for part in self._parts.values())

    def has_other_weights(self) -> bool:
        """Tell whether the weights to evaluate with may be others than the parameters."""
        return any(part.has_other_weights() for part in self._parts.values())

    def projects(self) -> bool:
        """Tell whether a transform decides which gradient the rule of a part sees."""
        return any(part.projects() for part in self._parts.values())

    def sparse_obstacle(self, group: Group) -> str | None:
        """Return why a step cannot take sparse gradients of a group, or None if it can."""
        return self.algorithm_of(group).sparse_obstacle(group)

    def load_state_dict(self, state_dict: Any, *, keep: Sequence[str] = ()) -> None:
        """Restore state and hyper-parameters, as `Optimizer.load_state_dict` does.

        Args:
            state_dict: The dictionary that `state_dict` returned. Or those of several optimizers,
                as a list in the order of the parts; or that of `MuonWithAuxAdam`. These must have
                had the parameters of each part in the order of the model, or their names.
            keep: See `Optimizer.load_state_dict`.

        Raises:
            ValueError: See `Optimizer.load_state_dict`; or a group is of another part.
            TypeError: It is no `state_dict`.
            RuntimeError: See `Optimizer.load_state_dict`.
        """
        groups = self.param_groups
        order = list(self._decisions) or [param for group in groups for param in group["params"]]
        own = as_own(state_dict, groups, self._parts, order, keep)
        super().load_state_dict(own, keep=keep)

    def _as_one(self, state_dict: Any) -> Any:
        """Return one checkpoint of those of several optimizers, given in the order of the parts."""
        return as_one(state_dict, self._parts) if isinstance(state_dict, list) else state_dict

    def summing(self) -> list[str]:
        """Return the names of those that need sums over all parameters."""
        return [name for part in self._parts.values() for name in part.summing()]

    def __repr__(self) -> str:
        """Show the groups, and what a step of each part consists of."""
        first, _, *others = super().__repr__().split("\n")
        steps = [(k, part._chain.described(part)) for k, part in self._parts.items()]
        return "\n".join([first, *(f"step of {k}: {step}" for k, step in steps), *others])

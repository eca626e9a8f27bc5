"""How an optimizer takes a step: closures, transforms, and the engine that runs the rule."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, overload

import torch
from torch import Tensor

from schuss.contract import Group, Measure, Rule, State
from schuss.engines import Explanation, explained
from schuss.evaluation import Evaluating
from schuss.observed import observed
from schuss.repeating import pure
from schuss.transforms import Transform
from schuss.transforms.chain import HELD_ONLY, Chain
from schuss.transforms.weight_decay import Decay

LOOKING = ("measure", "gradient", "update", "hold", "climb", "measure_climb")
"""Methods of a transform that are given gradients, or what follows from them."""


class Stepping(Evaluating):
    """The part of an optimizer that takes steps, whatever the rule for one parameter is."""

    weight_decay: Decay
    transforms: Sequence[Transform]
    _chain: Chain

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether `GradScaler` hands over its scale and its verdict, and leaves `p.grad` as it is.

        As in `torch.optim`, only `fused=True` asks for it, because code that clips gradients needs
        them divided by the scale before the step. Gradients in float16 are always handed over with
        the scale, because `GradScaler` refuses to divide them.
        """
        return any(
            group["fused"] or any(param.dtype is torch.float16 for param in group["params"])
            for group in self.param_groups
        )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Fill the empty `state` of `param`."""

    takes_sparse_gradients: ClassVar[bool] = False
    """Whether the rule is right for sparse gradients too; set it beside the rule, because a
    subclass with another rule does not inherit it.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Ask every rule anew whether it takes sparse gradients."""
        super().__init_subclass__(**options)
        own = vars(cls)
        if "takes_sparse_gradients" not in own and ("update" in own or "step_param" in own):
            cls.takes_sparse_gradients = False

    def sparse_obstacle(self, group: Group) -> str | None:
        """Return why a step cannot take sparse gradients of a group, or None if it can."""
        if not self.takes_sparse_gradients:
            return (
                "it does not support sparse gradients, please consider SparseAdam instead, or SGD "
                "or Adagrad"
            )
        looking = [each for method in LOOKING for each in self._chain.overriding(method)]
        if looking:
            return f"{looking[0]!r} does not support sparse gradients; leave it out"
        if group["weight_decay"] != 0 and not group["decoupled_weight_decay"]:
            return (
                f"weight_decay={group['weight_decay']} is not compatible with sparse gradients, "
                "because it is added to them; set it to 0, or decouple it"
            )
        return None

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return numbers of one parameter that the rule needs the sums of."""
        raise NotImplementedError

    def summed(self, groups: Sequence[Group]) -> None:
        """Change hyper-parameters by the sums of what was measured."""

    def step_param(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Take one step with one parameter."""
        raise NotImplementedError

    def begin_state(self, state: State, group: Group, param: Tensor) -> None:
        """Fill the empty `state` of `param`, with what the transforms remember too."""
        [group] = self._for_rules([group])
        self.init_state(state, group, param)
        self._chain.init_state(state, group, param)

    def __repr__(self) -> str:
        """Show the groups, and what a step consists of."""
        first, *others = super().__repr__().split("\n")
        return "\n".join([first, f"step: {self._chain.described(self)}", *others])

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @observed
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step with every parameter that has a gradient.

        Under `torch.compile` it is one graph. Where the host decides something in between, the
        graph breaks around the step, which is taken as without: whether to take it (`Accumulate`,
        `SkipNonFinite`, an infinity that a `GradScaler` found), to take a gradient anew (`SAM`), or
        what to do with sums (`Prodigy`, the D-Adaptations, `DoG`).

        Args:
            closure: Computes the loss and its gradients anew; called once, with gradients on, and
                twice with a transform that needs the gradients of two points.

        Returns:
            The closure's loss (the first, if there are two), or None without one.

        Raises:
            RuntimeError: A gradient is sparse and the optimizer does not take it, or a transform
                needs a closure. Nothing has been changed then.
        """
        if "torch._dynamo" in sys.modules and self._is_decided_on_the_host():
            return self._step_outside_of_graphs(closure)
        return self._step(closure)

    def _step_outside_of_graphs(self, closure: Callable[[], float] | None) -> float | None:
        return torch.compiler.disable(self._step)(closure)  # type: ignore[no-any-return]

    # What torch.compiler.disable sets, which would import Dynamo: a second. With fullgraph=True the
    # error says why.
    vars(_step_outside_of_graphs).update(
        _torchdynamo_disable=True,
        _torchdynamo_disable_msg="the host decides something in this step, see Optimizer.step",
    )

    def _is_decided_on_the_host(self) -> bool:
        """Tell whether a step depends on numbers that are read before its end."""
        return (
            self._overrides("summed")
            or any(map(self._chain.overriding, ("skips", "holds_back", "climb")))
            or getattr(self, "found_inf", None) is not None
        )

    def _step(self, closure: Callable[[], float] | None) -> float | None:
        self._check_training()
        self._check_changed()
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
            self._check_changed()
        if not self._chain:
            self._run(self._rule(), self._measures(), is_step=True)
        elif self._chain.holds_back(self.param_groups):
            if self._run(self._chain.hold, self._chain.hold_measures()):
                self._chain.held(self.param_groups)
        else:
            if self._chain.overriding("climb"):
                self._climb(closure)
            with self._due_gradients():
                self._run(self._rule(), self._measures(), is_step=True)
        return loss

    def explain(self) -> Explanation:
        """Return which engine takes the steps of which parameters, why, and at what cost.

        For each kind of parameters, as if all had a gradient: the engine, the program that the rule
        was traced to, the source of the kernel, and how many bytes it moves. `print` shows it.
        """
        with torch.no_grad():
            measures = self._measures()
            self._check_changed()
            groups = self._for_rules(self.param_groups)
            return explained(self._engine, self, self._rule(), groups, measures)

    @property
    def state(self) -> defaultdict[Any, State]:
        """The state of every parameter: tensors and numbers by name."""
        return self._engine.exposed_state()

    @state.setter
    def state(self, state: defaultdict[Any, State]) -> None:
        self._engine.replace_state(state)

    def evaluated(self, state: State, group: Group, param: Tensor) -> Tensor:
        """Return the weights to evaluate with: those of the last transform that has any."""
        for transform in reversed(self._chain.overriding("evaluated")):
            return transform.evaluated(state, group, param)
        return param

    def _has_other_weights(self) -> bool:
        return self._overrides("evaluated") or bool(self._chain.overriding("evaluated"))

    def _rule(self) -> Rule:
        """Return the rule that a step calls for each parameter, transforms included."""
        return self._transformed_step if self._chain else self.step_param

    def _transformed_step(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        grad = self._chain.gradient(state, group, grad, param)
        self.step_param(state, group, grad, param)
        self._chain.parameter(state, group, param)

    def _measures(self) -> list[Measure]:
        """Return the measurements that a step makes of all parameters before the rule."""
        measures = self._overrides("measure")
        return self._chain.measures(self.measure if measures else None)

    def _overrides(self, method: str) -> bool:
        raise NotImplementedError

    def _run(self, rule: Rule, measures: Sequence[Measure] = (), *, is_step: bool = False) -> bool:
        """Run a rule for every parameter that has a gradient, and tell whether it was run."""
        if torch.compiler.is_compiling():
            self._run_compiled(rule, getattr(self, "grad_scale", None), measures)
            return True
        return self._run_eagerly(rule, measures, is_step=is_step)

    def _run_eagerly(self, rule: Rule, measures: Sequence[Measure], *, is_step: bool) -> bool:
        scale: Tensor | None = getattr(self, "grad_scale", None)
        self._take_numbers()
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        with torch.no_grad():
            if found_inf is not None and found_inf.item():
                self._put_away(self._chain.call_skipped)
                return False
            groups = self._for_rules(self.param_groups)
            groups = self._engine.measured(self, measures, groups, scale)
            chain = self._chain
            if chain and chain.skips_call(groups, self.param_groups):
                self._put_away(self._chain.call_skipped)
                return False
            if is_step and chain and chain.skips_step(groups, self.param_groups):
                self._put_away(chain.step_skipped)
                chain.stepped(self.param_groups)
                return False
            if is_step and measures and self._overrides("summed"):
                self.summed(groups)
                changed = self._for_rules(self.param_groups)
                groups = [{**g, **now} for g, now in zip(groups, changed, strict=True)]
            self._engine.run(self, rule, groups, scale, pure(self, rule))
            if is_step and chain:
                chain.stepped(self.param_groups)
        return True

    def _put_away(self, rule: Rule) -> None:
        """Let the transforms put away what they prepared for a step that is not taken."""
        if self._chain.overriding("skipped"):
            self._engine.run(self, rule, self._for_rules(self.param_groups))

    def _climb(self, closure: Callable[[], float] | None) -> None:
        """Go to where the transforms want the gradient, and take it there."""
        if closure is None:
            raise RuntimeError(
                f"{self._chain.overriding('climb')[0]!r} needs the gradient of a second point: "
                "give step a closure that clears the gradients, computes the loss and its "
                "gradients, and returns the loss"
            )
        climbed = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        self._run(self._chain.climb, self._chain.climb_measures())
        try:
            with torch.enable_grad():
                closure()
        except BaseException:
            self._return_from_climb(climbed)
            raise
        # The others return in their step.
        self._return_from_climb([param for param in climbed if param.grad is None])

    def _return_from_climb(self, params: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for param in params:
                self._chain.return_from_climb(self.state[param], param)

    @contextmanager
    def _due_gradients(self) -> Iterator[None]:
        """Give a zero gradient to parameters that have none now, but had one that was held back."""
        due: list[Tensor] = []
        if self._chain.overriding("is_due"):
            without = [p for group in self.param_groups for p in group["params"] if p.grad is None]
            due = [param for param in without if self._chain.is_due(self.state[param])]
        try:
            for param in due:
                param.grad = torch.zeros_like(param)
                self.state[param][HELD_ONLY] = True
            yield
        finally:
            for param in due:
                param.grad = None
                self.state[param].pop(HELD_ONLY, None)

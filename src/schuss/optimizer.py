"""The base class of every optimizer.

An optimizer is an `Algorithm`, which changes one parameter. It has parts that run it for all: the
checks of its groups, the engine, the steps that `torch.compile` traces, the evaluation, and
`Steps`, which calls these in their order. No part refers to the optimizer. Each call gives it to
the part, and a `Protocol` in the file of the part names the methods that the part needs. The
methods that save and load it are those of `Checkpointed`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor

from schuss.algorithm import Algorithm
from schuss.checkpointed import Checkpointed
from schuss.contract import Group, Pass, State
from schuss.declarations import option
from schuss.domains import Domains, at_least
from schuss.engines import CompiledSteps, Engine, Explanation, Memory, called_while_tracing
from schuss.evaluation import Evaluation
from schuss.groupchecks import GroupChecks
from schuss.hyperparameters import OPTION_DEFAULTS, CommonOptions, Options, check_options
from schuss.observed import observed
from schuss.parametergroups import adding_group, check_given
from schuss.releasing import releasing
from schuss.stepped import for_all
from schuss.stepping import Steps
from schuss.storage.ranks import check_whole
from schuss.transforms import Transform, WeightDecay
from schuss.transforms.weight_decay import as_group_values

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack


class Optimizer(Algorithm, CommonOptions, Checkpointed):
    r"""Base class of optimizers: write the rule for one parameter, the class does the rest.

    A subclass overrides `init_state`, if it keeps state, and one of two methods:

    - `update(state, group, grad, param)` returns the direction $u_t$, and the parameter moves by
      $-\gamma\, u_t$. Weight decay, the learning rate and the step count are taken care of.
    - `step_param(state, group, grad, param)` does everything itself, in place.

    Both are written for real numbers in at least single precision. Complex parameters arrive as
    real ones with a last dimension of 2, half-precision ones as float32 copies, and `maximize` and
    the scale of a `GradScaler` are already applied to the gradient.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own. Without any, the optimizer is a recipe, for a part of a
            `Composite`, and takes no steps.
        defaults: Hyper-parameters of the algorithm by name, among them `lr`. Not changed.
        weight_decay: Decay object. Its hyper-parameters are added to the groups.
        **options: See `schuss.Options`.

    Raises:
        ValueError: A hyper-parameter lies outside of its domain, or there are no parameters.
        TypeError: The subclass has no rule, or there is no such option.

    Example:
        >>> import torch
        >>> from schuss import Optimizer, rate
        >>> class SignSGD(Optimizer):
        ...     lr: float = rate(default=1e-2)
        ...
        ...     def update(self, state, group, grad, param):
        ...         return grad.sign()
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        >>> optimizer = SignSGD([weight], lr=0.5)
        >>> weight.square().sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([ 0.5000, -1.5000])
    """

    params: ParamsT | None = option("to be trained", None, default=None, kw_only=False)
    defaults: dict[str, Any] = option("of a subclass", None, default={}, kw_only=True)
    transforms: Sequence[Transform] = option("around", None, default=(), kw_only=True)

    domains = Domains(lr=at_least(0))

    def __init__(
        self,
        params: ParamsT | None,
        defaults: Mapping[str, Any],
        *,
        weight_decay: WeightDecay | None = None,
        **options: Unpack[Options],
    ) -> None:
        decay = WeightDecay() if weight_decay is None else weight_decay
        Algorithm.__init__(self, decay, options.pop("transforms", ()))
        check_options(type(self), options)
        check_given(type(self).__name__, params)
        self._group_checks = GroupChecks()
        self._evaluation = Evaluation()
        self._compiled_steps = CompiledSteps()
        self._start_engine()
        around = {**OPTION_DEFAULTS, **decay.defaults(), **self._chain.defaults(), **options}
        given = [{"params": ()}] if params is None else params  # a group, to check the values
        torch.optim.Optimizer.__init__(self, given, {**around, **defaults})
        if params is None:
            self.param_groups.clear()
        check_whole(self.summing(), [p for group in self.param_groups for p in group["params"]])

    def _start_engine(self) -> None:
        """Begin without state; a copy does so too, because an engine knows where memory is."""
        self._engine = Engine()
        parts = (self._group_checks, self._evaluation, self._compiled_steps, self._engine)
        self._stepping = Steps(self._chain, *parts)

    def _construct(self, values: dict[str, Any], given: set[str], others: dict[str, Any]) -> None:
        """Begin; a given argument precedes one of `defaults`, and that a declared default."""
        options = {key: values.pop(key) for key in (*OPTION_DEFAULTS, "transforms")}
        params, more = values.pop("params"), values.pop("defaults") or {}
        decay = self.decay_object(values) if "weight_decay" in values else None
        more = {key: value for key, value in more.items() if key not in given}
        group = {**self.group_values(values), **more}
        Optimizer.__init__(self, params, group, weight_decay=decay, **options, **others)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @observed
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step with every parameter that has a gradient.

        Under `torch.compile` it is one graph. Where state is kept as codes, or the host decides
        something in between, the graph breaks around the step, which is taken as without: whether
        to take it (`Accumulate`,
        `SkipNonFinite`, an infinity that a `GradScaler` found), to take a gradient anew (`SAM`), or
        what to do with sums (`Prodigy`, the D-Adaptations, `DoG`) or with a projection (`GaLore`).
        A rule that does something every few steps, such as `SOAP` with its bases, breaks the graph
        there; without `torch.compile` its steps take less time.

        Args:
            closure: Computes the loss and its gradients anew; called once, with gradients on, and
                twice with a transform that needs the gradients of two points.

        Returns:
            The closure's loss (the first, if there are two), or None without one.

        Raises:
            RuntimeError: A gradient is sparse and the optimizer does not take it, or a transform
                needs a closure. Nothing has been changed then.
        """
        return self._stepping.take(self, closure)

    def explain(self) -> Explanation:
        """Return which engine takes the steps of which parameters, why, and at what cost.

        For each kind of parameters, as if all had a gradient: the engine, the program that the rule
        was traced to, the source of the kernel, and how many bytes it moves. `print` shows it.
        """
        return self._stepping.explained(self)

    def memory(self) -> Memory:
        """Return the bytes of parameters, gradients, state and a step: predicted, and now.

        Nothing is allocated for it, so it can be asked before the first step. `print` shows it.
        """
        return self._stepping.memory(self)

    releasing = releasing

    @property
    def state(self) -> defaultdict[Any, State]:
        """The state of every parameter: tensors and numbers by name."""
        return self._engine.exposed_state()

    @state.setter
    def state(self, state: defaultdict[Any, State]) -> None:
        self._engine.replace_state(state)

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether `GradScaler` hands over its scale, and leaves `p.grad` as it is."""
        return self._stepping.takes_scaled_gradients(self)

    def eval(self) -> None:
        """Let the parameters be the weights to evaluate with, until `train` is called.

        The Trainer of Hugging Face and Accelerate's wrapper call it. Until then `step` raises, and
        a `state_dict` also holds the trained weights: a training that loads the model first and
        then the optimizer goes on as if nothing had been saved. With an optimizer that has no other
        weights to evaluate with, this does nothing; nor does a second call.
        """
        if not self._evaluation.is_on and self.has_other_weights():
            self._compiled_steps.end(self, self._engine)
            self._evaluation.begin(self)

    def train(self) -> None:
        """Let the parameters be the trained weights again, as they were when `eval` was called."""
        self._evaluation.end()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Let the parameters be the weights to evaluate with, as `eval` does.

        On leaving, whatever happened, they are again what they were. `EMA` has an example.
        """
        before = self._evaluation.is_on
        self.eval()
        try:
            yield
        finally:
            if before:
                self.eval()
            else:
                self.train()

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickling and copying keep: all but hooks, wrappers and the engine."""
        kept = {k: v for k, v in self.__dict__.items() if not k.startswith("_optimizer_")}
        for key in ("step", "_zero_grad_profile_name", "_engine", "_stepping"):
            kept.pop(key, None)
        return {**kept, "state": self.state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what `__getstate__` returned, or a part of it."""
        parts = {key: value for key, value in state.items() if key != "state"}
        super().__setstate__(parts)
        if "_engine" not in self.__dict__:
            self._start_engine()
        self.state = state.get("state", self.state)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, which may have hyper-parameters of its own.

        Args:
            param_group: The parameters under `params`, and any hyper-parameters. Not changed.

        Raises:
            ValueError: A hyper-parameter lies outside of its domain, or a parameter has a group
                already, or is none that the algorithm takes.
            TypeError: A hyper-parameter or a parameter is of the wrong type.
        """
        if isinstance(param_group, dict):
            algorithm = self.algorithm_of(param_group)
            given = as_group_values(param_group, algorithm.weight_decay)
            param_group = {**algorithm.defaults, **given}
            self._group_checks.check(self, len(self.param_groups), param_group)
        with adding_group(self.param_groups, self.check_listed):
            super().add_param_group(param_group)

    def begin_state(self, state: State, group: Group, param: Tensor) -> None:
        """Fill the empty `state` of `param`, with what the transforms remember too."""
        [group] = self._group_checks.for_rules(self, [group])
        algorithm = self.algorithm_of(group)
        algorithm.init_state(state, group, algorithm._chain.seen(group, param))
        algorithm._chain.init_state(state, group, param)

    def algorithm_of(self, group: Group) -> Optimizer:
        """Return the optimizer whose rule a group has: this one, or a part of a `Composite`."""
        return self

    def passes(self) -> list[Pass]:
        """Return the measurements that a step makes of all parameters before the rule."""
        measures = self.measurements()
        return for_all(measures, self.param_groups) if measures else []

    def check_listed(self) -> None:
        """Check what the lists of parameters hold, if that is not what it was."""
        self._group_checks.check_listed(self)

    @called_while_tracing
    def begin_compiled(self) -> None:
        """Create the state that a compiled step finds."""
        self._compiled_steps.begin(self, self._engine)

    def __repr__(self) -> str:
        """Show the groups, and what a step consists of."""
        first, *others = super().__repr__().split("\n")
        return "\n".join([first, f"step: {self._chain.described(self)}", *others])

"""The base class of every optimizer: a rule for one parameter, and all that surrounds it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import option
from schuss.domains import Domains, at_least
from schuss.engines import Engine, check_engine
from schuss.hyperparameters import OPTION_DEFAULTS, CommonOptions, check_options
from schuss.parametergroups import check_params
from schuss.stepping import Stepping
from schuss.storage.ranks import divided_by
from schuss.transforms import Transform, WeightDecay
from schuss.transforms.chain import Chain
from schuss.transforms.weight_decay import as_weight_decay, check_same_kind, decay_in_update

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class Optimizer(Stepping, CommonOptions):
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
            hyper-parameters of their own.
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

    traced_once: ClassVar[bool]
    """Whether the methods of a class are functions of their arguments: they read nothing else, and
    nothing that changes. The engine then calls them once, and from then on computes only the
    numbers anew. Every class that does not come with this library has to say so itself.
    """

    params: ParamsT
    defaults: dict[str, Any] = option("of a subclass", None, default={}, kw_only=True)
    transforms: Sequence[Transform] = option("around", None, default=(), kw_only=True)

    domains = Domains(lr=at_least(0))

    def __init__(
        self,
        params: ParamsT,
        defaults: Mapping[str, Any],
        *,
        weight_decay: WeightDecay | None = None,
        **options: Unpack[Options],
    ) -> None:
        name = type(self).__name__
        self._chain = Chain(options.pop("transforms", ()))
        self.transforms = self._chain.transforms
        self._check_rule(name)
        check_options(name, options)
        self.weight_decay = WeightDecay() if weight_decay is None else weight_decay
        around = {**self.weight_decay.defaults(), **self._chain.defaults()}
        self._engine = Engine()
        self._compiled = {"in_tensors": False}
        self._kinds = {}
        self._mode = {"evaluating": False}
        self._trained = {}
        self._versions = {}
        self._seen_values, self._seen_lists, self._seen_params = [None], [None], [None]
        self._odd = False
        domains = {**self._chain.domains(), **self.weight_decay.domains, **self.domains}
        self._all_domains = Domains(domains)
        Stepping.__init__(self, params, {**OPTION_DEFAULTS, **around, **options, **defaults})
        self._check_whole()

    def _construct(self, values: dict[str, Any], given: set[str], others: dict[str, Any]) -> None:
        """Begin; a given argument precedes one of `defaults`, and that a declared default."""
        options = {key: values.pop(key) for key in (*OPTION_DEFAULTS, "transforms")}
        params, more = values.pop("params"), values.pop("defaults") or {}
        decay = self.decay_object(values) if "weight_decay" in values else None
        more = {key: value for key, value in more.items() if key not in given}
        group = {**self.group_values(values), **more}
        Optimizer.__init__(self, params, group, weight_decay=decay, **options, **others)

    def decay_object(self, values: dict[str, Any]) -> WeightDecay:
        """Return the decay object; override it for another kind of decay than `WeightDecay`.

        Args:
            values: The declared arguments, from which those of the decay are taken away.
        """
        weight_decay, acts = values.pop("weight_decay"), self.hypers["weight_decay"].acts
        decoupled = values.pop("decoupled_weight_decay", acts == "decoupled")
        if acts == "in update":
            return decay_in_update(weight_decay)
        return as_weight_decay(weight_decay, decoupled=decoupled)

    def group_values(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters that a group begins with; override it to add some.

        Args:
            values: The declared arguments.
        """
        return values

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Fill the empty `state` of `param`; override it if the rule keeps state.

        A rule that needs the step count puts `state["step"] = 0` here, and finds it counted, from
        1. Every whole number that begins at 0 is taken for a count: a checkpoint in which it is
        negative is refused.
        """

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the direction against which `param` moves; override it with the algorithm.

        Args:
            state: The parameter's state, to be changed in place.
            group: The hyper-parameters.
            grad: The gradient; only read.
            param: The parameter; only read.

        Returns:
            A tensor of the shape of `param`, which will only be read (it may be `grad` or a state
            tensor).
        """
        raise NotImplementedError

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return numbers of one parameter that the rule needs the sums of; override it for that.

        It is called for all parameters before the rule is for any, and only reads. The rule finds
        the sums in `group["sums_over_group"]` and, over all groups, in `group["sums_over_all"]`,
        as 0-d tensors.

        Example:
            >>> import torch
            >>> from schuss import Optimizer
            >>> class Normalized(Optimizer):
            ...     def measure(self, state, group, grad, param):
            ...         return {"square": grad.square().sum()}
            ...
            ...     def update(self, state, group, grad, param):
            ...         return grad / group["sums_over_all"]["square"].sqrt()
            >>> weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
            >>> weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([4.0])
            >>> Normalized(weights, {"lr": 1.0}).step()
            >>> torch.cat([weight.data for weight in weights])
            tensor([-0.6000, -0.8000])
        """
        raise NotImplementedError

    def summed(self, groups: Sequence[Group]) -> None:
        """Change hyper-parameters by the sums of what was measured; override it for that.

        It is called after `measure` and before the rule, and may write to `self.param_groups`,
        whose hyper-parameters are saved. The host waits for the sums that it reads.

        Args:
            groups: Copies of the groups, with `sums_over_group` and `sums_over_all`.
        """

    def step_param(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Take one step with one parameter: count it, decay, and move against `update`."""
        if "step" in state:
            state["step"] += 1
        group = self.group_for(state, group, param)
        lr = self.get_lr(state, group)
        if lr is not group["lr"]:
            group = {**group, "lr": lr}  # so that the decay follows the schedule
        raw = grad
        grad = self.weight_decay(param, grad, group)
        update = self.update(state, group, grad, param)
        if self._chain:
            update = self._chain.update(state, group, update, raw, param)
        if isinstance(lr, (int, float)):
            param.add_(update, alpha=-lr)
        else:
            param.sub_(lr * update)

    def group_for(self, state: State, group: Group, param: Tensor) -> Group:
        """Return the hyper-parameters for one parameter; override it if they depend on it.

        A changed copy of `group`, for `update`, the decay and the transforms around both.
        """
        return group

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate for step `state["step"]`; override it for a schedule."""
        lr: float | Tensor = group["lr"]
        return lr.squeeze() if isinstance(lr, Tensor) else lr

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group; extend it with those of the algorithm.

        Raises:
            ValueError: One lies outside of its domain.
            TypeError: One is of the wrong type.
        """
        super().check_group(group)
        # ZeRO puts those of the optimizer into every group.
        if tuple(group.get("transforms", self.transforms)) != self._chain.transforms:
            raise ValueError(
                "the group has transforms, which are of all groups; give them to the optimizer, "
                "and the group their hyper-parameters"
            )
        check_engine(group)
        self.weight_decay.check_group(group)
        self._chain.check_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, which may have hyper-parameters of its own.

        Args:
            param_group: The parameters under `params`, and any hyper-parameters. Not changed.

        Raises:
            ValueError: A hyper-parameter lies outside of its domain, or a parameter has a group
                already.
            TypeError: A hyper-parameter or a parameter is of the wrong type.
        """
        if isinstance(param_group, dict):
            param_group = dict(param_group)
            decay = param_group.get("weight_decay")
            if isinstance(decay, WeightDecay):
                check_same_kind(decay, self.weight_decay)
                param_group = {**param_group, **decay.defaults()}
            self._check_group_number(len(self.param_groups), {**self.defaults, **param_group})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "optimizer contains a parameter group with duplicate")
            super().add_param_group(param_group)
        try:
            check_params(self.param_groups)
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise

    def _overrides(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(Optimizer, method)

    def _check_whole(self) -> None:
        """Refuse to be one rank's part of an optimizer, if there are sums over all parameters."""
        summing = [*self._chain.overriding("measure"), *self._chain.overriding("measure_climb")]
        if not summing and not self._overrides("measure"):
            return
        by = divided_by(param for group in self.param_groups for param in group["params"])
        if by is not None:
            raise RuntimeError(
                f"{summing[0] if summing else type(self).__name__} needs sums over all parameters, "
                f"but {by} gives every rank a part of them; shard them by "
                "torch.distributed.fsdp.fully_shard, of which the sums are known, or clip the "
                "gradients before the step"
            )

    def _check_rule(self, name: str) -> None:
        cls = type(self)
        if cls.update is Optimizer.update and cls.step_param is Optimizer.step_param:
            raise TypeError(
                f"{name} has no rule: override update(state, group, grad, param) or "
                "step_param(state, group, grad, param)"
            )
        changing = self._chain.overriding("update")
        if changing and cls.step_param is not Optimizer.step_param:
            raise TypeError(
                f"{name} has a step_param of its own, and no update that {changing[0]!r} could "
                "change; leave it out, or write the rule as update(state, group, grad, param)"
            )

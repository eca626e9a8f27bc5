"""An algorithm: a rule for one parameter, its hyper-parameters, and the changes around the rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from schuss.contract import Group, Measure, Rule, State
from schuss.domains import Domains
from schuss.engines import check_engine
from schuss.hyperparameters import Checked
from schuss.matrices.shapes import check_all
from schuss.transforms import Transform, WeightDecay
from schuss.transforms.chain import Chain
from schuss.transforms.weight_decay import Decay, as_weight_decay, decay_in_update

LOOKING = ("measure", "gradient", "around", "update", "hold", "climb", "measure_climb")
"""Methods of a transform that are given gradients, or what follows from them."""


class Algorithm(Checked):
    """The methods that an optimizer overrides, and those made of them, all for one parameter.

    Nothing here knows other parameters, engines or checkpoints; see `Optimizer`.

    Args:
        weight_decay: Decay object.
        transforms: Transforms, in their order.

    Raises:
        TypeError: The class has no rule, or one that the transforms cannot surround.
        ValueError: The transforms do not go together.
    """

    weight_decay: Decay
    transforms: Sequence[Transform]
    group_domains: Domains
    _chain: Chain

    traced_once: ClassVar[bool]
    """Whether the methods of a class are functions of their arguments: they read nothing else, and
    nothing that changes. The engine then calls them once, and from then on computes only the
    numbers anew. Every class that does not come with this library has to say so itself.
    """
    takes_matrices_only: ClassVar[bool] = False
    """Whether the rule takes only matrices, as the option `matrices` of a group describes them; see
    `schuss.matrices`.
    """
    takes_sparse_gradients: ClassVar[bool] = False
    """Whether the rule is right for sparse gradients too; set it beside the rule, because a
    subclass with another rule does not inherit it.
    """

    def __init__(self, weight_decay: WeightDecay, transforms: Sequence[Transform]) -> None:
        self.weight_decay = weight_decay
        self.surround(transforms)

    def surround(self, transforms: Sequence[Transform]) -> None:
        """Take other transforms than before.

        Raises:
            TypeError: The rule cannot be surrounded by them.
            ValueError: They do not go together.
        """
        self._chain = Chain(transforms)
        self.transforms = self._chain.transforms
        self.group_domains = self._all_domains()
        self._check_rule(type(self).__name__)

    def __init_subclass__(cls, **options: Any) -> None:
        """Ask every rule anew whether it takes sparse gradients."""
        super().__init_subclass__(**options)
        own = vars(cls)
        if "takes_sparse_gradients" not in own and ("update" in own or "step_param" in own):
            cls.takes_sparse_gradients = False

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
        update = self._chain.around(self.update, state, group, grad, param)
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
        # ZeRO puts those of the optimizer into every group, and copies of them into checkpoints.
        if repr([*group.get("transforms", self.transforms)]) != repr([*self.transforms]):
            raise ValueError(
                "the group has transforms, which are of all groups; give them to the optimizer, "
                "and the group their hyper-parameters"
            )
        check_engine(group)
        self.weight_decay.check_group(group)
        self._chain.check_group(group)

    def check_parameters(self, group: Group) -> None:
        """Check that the algorithm takes the parameters of a group; extend it if some are refused.

        Not called again where nothing but numbers of the group has changed, as by a schedule.

        Raises:
            ValueError: The algorithm takes matrices only, and the shape of a parameter is of none.
            TypeError: One is complex or divided among ranks, or a transform refuses the rule.
        """
        if self.takes_matrices_only:
            check_all(group)
        self._chain.check_parameters(self, group)

    def read_group(self, saved: Group) -> Group:
        """Return a group of a checkpoint as this optimizer takes it; override it if it differs."""
        return saved

    def evaluated(self, state: State, group: Group, param: Tensor) -> Tensor:
        """Return the weights to evaluate with; override it if they are not `param` itself.

        They are those of the last transform that has any.

        Args:
            state: The parameter's state; only read.
            group: The hyper-parameters.
            param: The parameter, or its master weight; only read.
        """
        for transform in reversed(self._chain.overriding("evaluated")):
            return transform.evaluated(state, group, param)
        return param

    def has_other_weights(self) -> bool:
        """Tell whether the weights to evaluate with may be others than the parameters."""
        return self.overrides("evaluated") or bool(self._chain.overriding("evaluated"))

    def projects(self) -> bool:
        """Tell whether a transform decides which gradient the rule sees."""
        return bool(self._chain.overriding("around"))

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

    def measurements(self, after: int = 0) -> list[Measure]:
        """Return the measurements before the rule, but those of the first `after` transforms."""
        own = self.measure if type(self).measure is not Algorithm.measure else None
        return self._chain.measures(own, after) if own or self._chain.transforms else []

    def whole_rule(self) -> Rule:
        """Return the rule that a step calls for each parameter, transforms included."""
        return self._transformed_step if self._chain.transforms else self.step_param

    def _transformed_step(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        grad = self._chain.gradient(state, group, grad, param)
        self.step_param(state, group, grad, param)
        self._chain.parameter(state, group, param)

    def overrides(self, method: str) -> bool:
        """Tell whether the class has a method of its own in place of the one that is here."""
        return getattr(type(self), method) is not getattr(Algorithm, method)

    def _all_domains(self) -> Domains:
        """Return the domains of all hyper-parameters of a group."""
        return Domains({**self._chain.domains(), **self.weight_decay.domains, **self.domains})

    def summing(self) -> list[str]:
        """Return the names of those that need sums over all parameters."""
        own = [type(self).__name__] if self.overrides("measure") else []
        methods = ("measure", "measure_climb")
        return [repr(each) for method in methods for each in self._chain.overriding(method)] + own

    def _check_rule(self, name: str) -> None:
        cls = type(self)
        if cls.update is Algorithm.update and cls.step_param is Algorithm.step_param:
            raise TypeError(
                f"{name} has no rule: override update(state, group, grad, param) or "
                "step_param(state, group, grad, param)"
            )
        changing = self._chain.overriding("around") + self._chain.overriding("update")
        if changing and cls.step_param is not Algorithm.step_param:
            raise TypeError(
                f"{name} has a step_param of its own, and no update that {changing[0]!r} could "
                "change; leave it out, or write the rule as update(state, group, grad, param)"
            )

"""The base class of Adam and its extensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from schuss.domains import Domains, at_least, decay_rates
from schuss.optimizer import Optimizer
from schuss.transforms import WeightDecay

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class GenericAdaptiveOptimizer(Optimizer):
    """Base class of Adam and its extensions: a learning rate, decay rates of moments, a stabilizer.

    A subclass overrides `init_state`, and either `update` or `step_param`; see `Optimizer`. A class
    written against labml's base class of this name runs on this one as it is.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        defaults: Further hyper-parameters by name. Not changed.
        lr: Learning rate γ, at least 0.
        betas: Decay rates of the moments, each in [0, 1).
        eps: Stabilizer ε, at least 0.
        weight_decay: Decay object.
        **options: See `schuss.Options`.

    Raises:
        ValueError: A hyper-parameter lies outside of its domain, for all groups or for one.
        TypeError: The subclass lacks `init_state` or a rule.
    """

    domains = Domains(betas=decay_rates(), eps=at_least(0))

    def __init__(
        self,
        params: ParamsT | None,
        defaults: Mapping[str, Any],
        lr: float | Tensor,
        betas: tuple[float | Tensor, ...],
        eps: float,
        *,
        weight_decay: WeightDecay | None = None,
        **options: Unpack[Options],
    ) -> None:
        defaults = {**defaults, "lr": lr, "betas": betas, "eps": eps}
        super().__init__(params, defaults, weight_decay=weight_decay, **options)

    def _check_rule(self, name: str) -> None:
        super()._check_rule(name)
        if type(self).init_state is Optimizer.init_state:
            raise TypeError(f"{name} has no state: override init_state(state, group, param)")

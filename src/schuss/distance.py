"""The base class of optimizers that estimate the distance to the solution: D-Adaptation, Prodigy.

The distance from the first weights to good ones is the right learning rate for these optimizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schuss.contract import Group, State
from schuss.declarations import hyper
from schuss.domains import WRITTEN, Domains, above, at_least, whole
from schuss.optimizer import Optimizer

if TYPE_CHECKING:
    from torch import Tensor


class DistanceAdaptive(Optimizer):
    r"""Takes the estimate $d$ of a distance for its learning rate, $\gamma_t = \gamma d_t$.

    The estimate is one number for all parameters. It is made anew in each step, from sums over all
    of them, and is a hyper-parameter of every group, so that it is saved. All groups share one
    learning rate; a group with 0 stays where it is.

    A subclass overrides `measure`, `estimate` and `update`. In step number t, counted from 1:

    1. `measure` is called for every parameter, and only reads. The group still has the values of
       the step before: `next_d` is $d_t$, and `k` is t - 1. `rate(group)` is $\gamma_t$.
    2. The engine adds the results up over all parameters.
    3. `summed` moves on to this step: `d` becomes $d_t$, and `rate` becomes $\gamma_t$.
    4. `estimate` is called once, with these values and the sums. It returns `next_d`, which is
       $d_{t+1}$, and the `numerator` of the estimate. `summed` writes all of it into every group,
       and counts `k` up to t.
    5. `update` is called for every parameter. Its group has `d` and `rate` of this step, and
       `next_d` of the next one. The parameter moves by `-rate` times the update.
    """

    d0: float = hyper(
        "d₀", "the estimate to begin with; rather too small", above(0), default=1e-6, kw_only=True
    )
    growth_rate: float = hyper(
        "",
        "by how much the estimate may grow in a step",
        at_least(1, unbounded=True),
        default=float("inf"),
        kw_only=True,
    )

    domains = Domains(d=WRITTEN, next_d=WRITTEN, rate=WRITTEN, numerator=WRITTEN, k=whole(0))

    def group_values(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the declared values, and those that `summed` writes: `d0` for every estimate."""
        d0 = values["d0"]
        return {**values, "d": d0, "next_d": d0, "rate": d0, "k": 0, "numerator": 0.0}

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return `rate`, or 0 for a group whose `lr` is 0 and that stays where it is."""
        return group["rate"] if group["lr"] else 0.0

    def rate(self, group: Group) -> float:
        """Return the learning rate of the step that begins: `lr` times `next_d`."""
        return float(group["lr"] * group["next_d"])

    def penalized(self, grad: Tensor, param: Tensor, group: Group) -> Tensor:
        """Return the gradient with the decay added, if it is of that kind."""
        coefficient = group["weight_decay"]
        if coefficient == 0 or group["decoupled_weight_decay"]:
            return grad
        return self.weight_decay.penalized(grad, param, coefficient)

    def summed(self, groups: Sequence[Group]) -> None:
        """Write the estimates of this step and of the next into every group.

        Raises:
            ValueError: Two groups have learning rates that differ, and none of them is 0.
        """
        sums = next((g["sums_over_all"] for g in groups if g["sums_over_all"]), None)
        first = max(self.param_groups, key=lambda group: float(group["lr"]))
        now = {"d": first["next_d"], "rate": self.rate(first)}
        if sums and first["lr"]:
            now |= self.estimate({**first, **now}, {key: float(x) for key, x in sums.items()})
        for group in self.param_groups:
            if group["lr"] not in (first["lr"], 0.0):
                raise ValueError(
                    f"the parameter groups have the learning rates {first['lr']} and "
                    f"{group['lr']}; {type(self).__name__} estimates one for all, so they must be "
                    "equal, or 0"
                )
        for group in self.param_groups:
            # Decay rates may be tensors; what is made of them is saved as numbers.
            group.update({key: float(x) for key, x in now.items()}, k=group["k"] + 1)

    def read_group(self, saved: Group) -> Group:
        """Return a group of a checkpoint, unless the authors' package has saved it.

        The estimate of a step and that for the next one have one name there.
        """
        if "d" in saved and "next_d" not in saved:
            raise ValueError(
                f"{type(self).__name__} keeps two estimates, 'd' and 'next_d', and the checkpoint "
                "has 'd' only: another package has saved it, and "
                f"migrated('PACKAGE.{type(self).__name__}', saved) of schuss.migration reads it"
            )
        return saved

    def estimate(self, group: Group, sums: Mapping[str, float]) -> dict[str, float]:
        """Return `next_d`, and `numerator`, given what was measured; override it.

        Args:
            group: The hyper-parameters, `d` and `rate` of this step among them.
            sums: The sums over all parameters.
        """
        raise NotImplementedError

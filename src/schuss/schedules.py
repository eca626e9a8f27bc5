r"""Schedules of the learning rate, for any optimizer.

Each is a factor of the step count $t = 1, 2, \ldots$, a plain function, and an `LRScheduler` that
multiplies the learning rate of every group by it. The first step of an optimizer is $t = 1$; call
`step()` after each of its steps. A step before the first one counts as the first, as in
`LambdaLR(optimizer, lambda t: noam(t, 4000))`, where torch begins at 0.

| function | factor | source |
|---|---|---|
| `warmup` | $\min(1, t / t_w)$ | Vaswani et al., 2017 |
| `warmup_cosine` | $t / t_w$, then $\max(\alpha, \tfrac12 (1 + \cos \pi p))$ | SGDR, 2016 |
| `noam` | $d^{-1/2} \min(t^{-1/2}, t\, t_w^{-3/2})$ | Vaswani et al., 2017, equation 3 |
| `warmup_stable_decay` | $t / t_w$, then 1, then down to $\alpha$ | Hu et al., *MiniCPM*, 2024 |

with $p$ the part of the way from $t_w$ to the last step $T$, at most 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from schuss.domains import Domains, at_least, one_of, whole
from schuss.scalar_math import cosine, larger, smaller

_DOMAINS = Domains(
    total_steps=whole(0),
    warmup=whole(0),
    decay_steps=whole(0),
    min_lr_ratio=at_least(0),
    d_model=whole(1),
    shape=one_of("linear", "sqrt"),
)

Shape: TypeAlias = Literal["linear", "sqrt"]


def warmup(step: float, warmup_steps: float) -> float:
    """Return the factor of a linear warm-up over `warmup_steps` steps, 1 from then on.

    Example:
        >>> [warmup(step, 4) for step in (1, 2, 4, 100)]
        [0.25, 0.5, 1.0, 1.0]
    """
    return smaller(larger(step, 1) / warmup_steps, 1.0) if warmup_steps > 0 else 1.0


def warmup_cosine(
    step: float, warmup_steps: float, total_steps: float, min_lr_ratio: float = 0.1
) -> float:
    """Return the factor of a warm-up and half a cosine, cut off at `min_lr_ratio`.

    Example:
        >>> [round(warmup_cosine(step, 0, 100), 3) for step in (1, 50, 75, 100, 150)]
        [1.0, 0.5, 0.146, 0.1, 0.1]
    """
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    half_wave = 0.5 * (1 + cosine(math.pi * smaller(larger(progress, 0.0), 1.0)))
    factor: float = warmup(step, warmup_steps) * larger(half_wave, min_lr_ratio)
    return factor


def noam(step: float, warmup_steps: float, d_model: float = 512) -> float:
    """Return the factor of the Transformer's schedule; without warm-up it only falls.

    Example:
        >>> [round(noam(step, 4, d_model=1), 3) for step in (1, 4, 16)]
        [0.125, 0.5, 0.25]
    """
    step = larger(step, 1)
    factor: float = step**-0.5
    if warmup_steps > 0:
        factor = smaller(factor, step * warmup_steps**-1.5)
    scale: float = d_model**-0.5
    return scale * factor


def warmup_stable_decay(
    step: float,
    warmup_steps: float,
    total_steps: float,
    decay_steps: float,
    min_lr_ratio: float = 0.0,
    shape: Shape = "linear",
) -> float:
    r"""Return the factor of a warm-up, a plateau, and a decay over the last `decay_steps` steps.

    Args:
        step: Step count t.
        warmup_steps: Number of steps of the warm-up.
        total_steps: Last step, at which the factor arrives at `min_lr_ratio`.
        decay_steps: Number of steps of the decay.
        min_lr_ratio: The factor after the decay.
        shape: `linear` falls with p, the part of the decay that is over; `sqrt` with its root
            (Hägele et al., *Scaling Laws and Compute-Optimal Training Beyond Fixed Training
            Durations*, 2024).

    Example:
        >>> [warmup_stable_decay(step, 2, 10, 4) for step in (1, 2, 6, 8, 10, 11)]
        [0.5, 1.0, 1.0, 0.5, 0.0, 0.0]
    """
    if step < warmup_steps:
        return warmup(step, warmup_steps)
    remaining = total_steps - step
    if remaining >= decay_steps:
        return 1.0
    done = min(1.0, 1 - remaining / decay_steps) if decay_steps > 0 else 1.0
    fall = math.sqrt(done) if shape == "sqrt" else done
    return 1 - (1 - min_lr_ratio) * fall


class _FactorLR(LRScheduler):
    """Multiplies every group's learning rate by a factor of the step count."""

    def __init__(self, optimizer: torch.optim.Optimizer, last_epoch: int = -1) -> None:
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return the factor for the optimizer's step number `step`, from 1."""
        raise NotImplementedError

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate of every group for the coming step."""
        factor = self.factor(self.last_epoch + 1)
        return [base_lr * factor for base_lr in self.base_lrs]


class WarmupLR(_FactorLR):
    """A linear warm-up over `warmup` steps, of any optimizer.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> scheduler = WarmupLR(optimizer, warmup=2)
        >>> rates = []
        >>> for _ in range(3):
        ...     rates.append(optimizer.param_groups[0]["lr"])
        ...     optimizer.step()
        ...     scheduler.step()
        >>> rates
        [0.05, 0.1, 0.1]
    """

    def __init__(self, optimizer: torch.optim.Optimizer, warmup: int, last_epoch: int = -1) -> None:
        _DOMAINS.check({"warmup": warmup})
        self.warmup = warmup
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return the factor for the optimizer's step number `step`, from 1."""
        return warmup(step, self.warmup)


class WarmupCosineLR(_FactorLR):
    """A linear warm-up over `warmup` steps, then half a cosine until `total_steps`.

    The factor does not fall below `min_lr_ratio`, and does not rise again after `total_steps`.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        total_steps: int,
        warmup: int = 0,
        min_lr_ratio: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        _DOMAINS.check({"total_steps": total_steps, "warmup": warmup, "min_lr_ratio": min_lr_ratio})
        self.total_steps, self.warmup = total_steps, warmup
        self.min_lr_ratio = float(min_lr_ratio)
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return the factor for the optimizer's step number `step`, from 1."""
        return warmup_cosine(step, self.warmup, self.total_steps, self.min_lr_ratio)


class NoamLR(_FactorLR):
    """The Transformer's schedule: up for `warmup` steps, then down as one over the root."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        warmup: int = 4000,
        d_model: int = 512,
        last_epoch: int = -1,
    ) -> None:
        _DOMAINS.check({"warmup": warmup, "d_model": d_model})
        self.warmup, self.d_model = warmup, d_model
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return the factor for the optimizer's step number `step`, from 1."""
        return noam(step, self.warmup, self.d_model)


class WarmupStableDecayLR(_FactorLR):
    """A warm-up over `warmup` steps, a plateau, and a decay over the last `decay_steps` steps.

    Left out, `decay_steps` is a fifth of `total_steps`, rounded down. Without a decay the rate
    stays up until the last step, and is at its floor after that.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        total_steps: int,
        decay_steps: int | None = None,
        warmup: int = 0,
        min_lr_ratio: float = 0.0,
        shape: Shape = "linear",
        last_epoch: int = -1,
    ) -> None:
        _DOMAINS.check({"total_steps": total_steps, "warmup": warmup, "shape": shape})
        decay_steps = total_steps // 5 if decay_steps is None else decay_steps
        _DOMAINS.check({"decay_steps": decay_steps, "min_lr_ratio": min_lr_ratio})
        self.total_steps, self.decay_steps, self.warmup = total_steps, decay_steps, warmup
        self.min_lr_ratio = float(min_lr_ratio)
        if warmup + decay_steps > total_steps:
            raise ValueError(
                f"warmup = {warmup} and decay_steps = {decay_steps} do not fit into "
                f"total_steps = {total_steps}"
            )
        self.shape: Shape = shape
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return the factor for the optimizer's step number `step`, from 1."""
        schedule = self.warmup, self.total_steps, self.decay_steps, self.min_lr_ratio
        return warmup_stable_decay(step, *schedule, shape=self.shape)


def list_schedules() -> list[str]:
    """Return the names that `create_schedule` knows."""
    return sorted(_SCHEDULES)


def create_schedule(
    name: str, optimizer: torch.optim.Optimizer, *, total_steps: int, **options: Any
) -> LRScheduler:
    """Create a schedule by name, to be stepped once for every step of the optimizer.

    Args:
        name: One of `list_schedules()`.
        optimizer: The optimizer, ours or not.
        total_steps: Number of steps of the training, for schedules that need it.
        **options: Arguments of the schedule's class.

    Raises:
        ValueError: There is no such schedule, or an option lies outside of its domain.
        TypeError: The schedule has no such option.
    """
    if name not in _SCHEDULES:
        raise ValueError(f"no schedule {name!r}; there are {', '.join(list_schedules())}")
    try:
        return _SCHEDULES[name](optimizer, total_steps, **options)
    except TypeError as error:
        raise TypeError(f"schedule {name!r}: {error}") from None


_SCHEDULES: dict[str, Callable[..., LRScheduler]] = {
    "constant": lambda optimizer, total_steps: WarmupLR(optimizer, 0),
    "warmup": lambda optimizer, total_steps, warmup: WarmupLR(optimizer, warmup),
    "cosine": WarmupCosineLR,
    "noam": lambda optimizer, total_steps, **options: NoamLR(optimizer, **options),
    "wsd": WarmupStableDecayLR,
}

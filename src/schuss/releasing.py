"""The method `releasing` of every optimizer.

The loop of training stays as it is inside of the block, and the parameters become what they would
be without. These differ:

- Hyper-parameters are those of the time of the backward pass.
- Each backward pass needs its `step`, also one that ended in an error. Parameters that it has
  stepped by then remain stepped. With `Accumulate`, gradients are added up over several.
- Between `backward` and `step` there are no gradients to be clipped or looked at.
- A closure takes the steps in its backward pass. Trainers such as Lightning's always give one.
- `GradScaler`, `SAM`, `SkipNonFinite`, `differentiable` and `capturable` are refused, and
  so is `DistributedDataParallel`, which adds up gradients over ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from schuss.stepped import Stepped, params_of
from schuss.stepping import Steps


class Releasing(Stepped, Protocol):
    """The part of an optimizer that releases gradients."""

    _stepping: Steps


@contextmanager
def releasing(
    optimizer: Releasing, model: nn.Module | None = None, *, sums: str | None = None
) -> Iterator[None]:
    """Step each parameter in the backward pass, and free its gradient at once.

    Inside of the block, `backward` steps every parameter as soon as its gradient is complete, and
    sets `p.grad` to None: the gradients of about one layer are in memory at a time. `step` ends the
    step: it counts, and steps parameters that still have a gradient. The page on memory tells more.

    Args:
        optimizer: The optimizer, which `optimizer.releasing()` gives.
        model: The model whose parameters are stepped so; those of the optimizer that it does not
            have keep their gradients until `step`. None for all parameters of the optimizer.
        sums: `"previous"` lets a rule or a transform that needs sums over all gradients, such as
            `Prodigy` or `ClipByGlobalNorm`, have those of the step before. The first backward pass
            then only measures, and moves nothing.

    Raises:
        ValueError: The step needs all gradients at once, or no parameter of the model is in the
            optimizer. Nothing has been changed then.
        RuntimeError: Gradients are being released already, or the model is divided among ranks.

    Example:
        >>> import torch
        >>> from schuss import SGD
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = SGD([weight], lr=0.25)
        >>> with optimizer.releasing():
        ...     weight.square().sum().backward()
        ...     print(weight.data, weight.grad)
        ...     optimizer.step()
        tensor([0.5000]) None
    """
    with optimizer._stepping.releasing(optimizer, _chosen(optimizer, model), is_late=_late(sums)):
        yield


def _chosen(optimizer: Releasing, model: nn.Module | None) -> list[Tensor]:
    """Return the parameters that are stepped in the backward pass."""
    params = params_of(optimizer)
    if model is not None:
        if any(isinstance(module, DistributedDataParallel) for module in model.modules()):
            raise RuntimeError(
                "DistributedDataParallel adds up gradients over ranks, and a parameter would be "
                "stepped before; take ordinary steps"
            )
        own = set(model.parameters())
        params = [param for param in params if param in own]
    if not params:
        raise ValueError(
            f"{type(optimizer).__name__} has no parameter"
            + (" of this model; give it the model that it trains" if optimizer.param_groups else "")
        )
    return params


def _late(sums: str | None) -> bool:
    """Tell whether rules are given the sums of the step before."""
    if sums not in (None, "previous"):
        raise ValueError(f"sums is {sums!r}; it must be None or 'previous'")
    return sums is not None

r"""Projection: drop what only makes scale-invariant weights longer.

Heo et al., *AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights*,
2020. <https://arxiv.org/abs/2006.08217>

$$
\Pi_\theta(u) = u - \langle \hat\theta, u \rangle\, \hat\theta, \qquad
\hat\theta = \theta / (\lVert \theta \rVert_2 + \epsilon)
$$
"""

from __future__ import annotations

import torch
from torch import Tensor


def projected(
    update: Tensor, grad: Tensor, param: Tensor, delta: float, eps: float
) -> tuple[Tensor, Tensor]:
    r"""Return an update without the part along scale-invariant weights, and whether there are any.

    Weights whose scale does not matter have a gradient at a right angle to them. So all are taken
    for such weights if $\max |\cos(\theta, g)| < \delta / \sqrt n$ over the first dimension, the
    channels, of $n$ weights each; and else, if that holds for the parameter as a whole.

    Args:
        update: The update; only read.
        grad: The gradient; only read.
        param: The parameter, of two dimensions or more; only read.
        delta: Threshold δ of the cosine.
        eps: Stabilizer ε of the norms.
    """
    whole = tuple(range(param.dim()))
    channels = whole[1:]
    # None has a larger one; without channels there is no largest.
    in_channels = (_scaled_cosine(grad, param, eps, channels) >= delta).sum() == 0
    in_whole = _scaled_cosine(grad, param, eps, whole) < delta
    kept = torch.where(in_whole, _without(update, param, eps, whole), update)
    kept = torch.where(in_channels, _without(update, param, eps, channels), kept)
    return kept, in_channels | in_whole


def _scaled_cosine(grad: Tensor, param: Tensor, eps: float, dims: tuple[int, ...]) -> Tensor:
    """Return the sizes of cosines times the root of n: that is in the mean, so no shape is read."""
    rms = param.square().mean(dims, keepdim=True).sqrt().clamp(min=eps)
    lengths = rms * grad.square().sum(dims, keepdim=True).sqrt().clamp(min=eps)
    return (grad * param).sum(dims, keepdim=True).abs() / lengths


def _without(update: Tensor, param: Tensor, eps: float, dims: tuple[int, ...]) -> Tensor:
    unit = param / (param.square().sum(dims, keepdim=True).sqrt() + eps)
    return update - unit * (unit * update).sum(dims, keepdim=True)

"""GaLore and APOLLO written down from their papers in plain torch, for one matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import torch
from torch import Tensor

from schuss.transforms.apollo import gaussian

Rule: TypeAlias = Callable[[Tensor], Tensor]
"""The update of an optimizer without weight decay, given the gradient of each step in turn."""

LR = 3e-2


def adam() -> Rule:
    """Return the rule of Adam, with betas of 0.9 and 0.95 and an eps of 1e-6."""
    m = v = torch.zeros(())
    t = 0

    def update(g: Tensor) -> Tensor:
        nonlocal m, v, t
        t += 1
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g**2
        return m / (1 - 0.9**t) / ((v / (1 - 0.95**t)).sqrt() + 1e-6)

    return update


def galore(grads: Iterable[Tensor], rank: int, every: int, scale: float) -> Tensor:
    """Return where a matrix is that started at zero."""
    rule, x, p = adam(), torch.zeros(()), torch.empty(0)
    for step, g in enumerate(grads):
        wide = g.shape[0] < g.shape[1]
        if step % every == 0:
            u, _, vh = torch.linalg.svd(g)
            p = u[:, :rank] if wide else vh[:rank].T
        n = rule(p.T @ g if wide else g @ p)
        x = x - LR * scale * (p @ n if wide else n @ p.T)
    return x


def apollo(
    grads: Iterable[Tensor], rank: int, every: int, scale: float, *, whole: bool, growth: float
) -> Tensor:
    """Return where a matrix is that started at zero, given the projections that ours draws."""
    rule, x, last = adam(), torch.zeros(()), torch.zeros(())
    for step, g in enumerate(grads):
        wide = g.shape[0] < g.shape[1]
        p = gaussian(g, rank, 0, step // every)
        low = p.T @ g if wide else g @ p
        n = rule(low)
        if whole:
            s = n.norm() / low.norm()
        else:
            s = n.norm(dim=0 if wide else 1) / low.norm(dim=0 if wide else 1)
        d = g * s if wide or whole else s[:, None] * g
        if last and d.norm() / last > growth:
            d = d / d.norm() * growth * last
        last = d.norm()
        x = x - LR * scale**0.5 * d
    return x

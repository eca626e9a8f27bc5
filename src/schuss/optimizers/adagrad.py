r"""Adagrad: over the root of all squares so far.

Duchi, Hazan and Singer, *Adaptive Subgradient Methods for Online Learning and Stochastic
Optimization*, 2011, Figure 1 with diagonal matrices.
<https://jmlr.org/papers/v12/duchi11a.html>

$$
\begin{aligned}
v_t &= v_{t-1} + g_t^2 \\
u_t &= \frac{g_t}{\sqrt{v_t} + \epsilon} \Big/ \bigl(1 + (t - 1)\,\eta\bigr)
\end{aligned}
$$

A weight whose gradient is zero most of the time makes large steps when the gradient is not. The sum
of squares only grows, so that steps shrink as $1 / \sqrt t$ under steady gradients. The decay
$\eta$ of the learning rate is that of `torch.optim`; the paper has none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import at_least
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class Adagrad(Optimizer):
    """Adagrad. Keeps one buffer per parameter."""

    lr: float | Tensor = rate("the change of every weight in the first step", default=1e-2)
    lr_decay: float = hyper("η", "decay of the learning rate", at_least(0), default=0.0)
    weight_decay: Decay = decay(default=0.0)
    initial_accumulator_value: float = hyper(
        "", "the value that the sum starts from", at_least(0), default=0.0
    )
    eps: float = stabilizer("added to the root of the sum", default=1e-10)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the sum."""
        state["step"] = 0
        start = group["initial_accumulator_value"]
        # Of a complex parameter, both parts.
        state["sum"] = torch.full_like(
            param, complex(start, start) if param.is_complex() else start
        )

    takes_sparse_gradients = True

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient over the root of the sum of squares."""
        shrunk = 1 + (state["step"] - 1) * group["lr_decay"]
        if grad.is_sparse:
            return self._update_of_rows(state["sum"], grad.coalesce(), group) / shrunk
        v = state["sum"].addcmul_(grad, grad)
        return grad / (v.sqrt() + group["eps"]) / shrunk

    def _update_of_rows(self, v: Tensor, grad: Tensor, group: Group) -> Tensor:
        """Do the same for the rows that a sparse gradient has; the others stay as they are."""
        rows = v.add_(grad.square()).sparse_mask(grad).values()
        values = grad.values() / (rows.sqrt() + group["eps"])
        indices = grad.indices()  # valid, because they were those of a gradient
        return torch.sparse_coo_tensor(indices, values, grad.shape, check_invariants=False)

r"""Clipping: bound what one gradient, or one update, can do.

Pascanu, Mikolov and Bengio, *On the difficulty of training Recurrent Neural Networks*, 2012,
Algorithm 1. <https://arxiv.org/abs/1211.5063>

$$
\begin{aligned}
\text{by value:} \quad g &\leftarrow \min(\max(g, -c), c) \\
\text{by norm:} \quad g &\leftarrow g \cdot \min\bigl(1,\, c / (\lVert g \rVert_2 + \epsilon)\bigr)
\end{aligned}
$$

The norm is of one parameter's gradient, or of all gradients together, which keeps their direction.
The stabilizer is $10^{-6}$, as in `torch.nn.utils.clip_grad_norm_`.

Shazeer and Stern, *Adafactor*, 2018, section 6, bound the root mean square of the *update* instead,
and so the change of the weights: $u \leftarrow u / \max(1, \operatorname{RMS}(u) / d)$.
<https://arxiv.org/abs/1804.04235>
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import hyper
from schuss.domains import above, at_least, or_none
from schuss.transforms.transform import Transform

EPS = 1e-6
"""The stabilizer of the norm, the same as in `torch.nn.utils.clip_grad_norm_`."""


def shortened(grad: Tensor, norm: Tensor, bound: float) -> Tensor:
    """Return a gradient times min(1, bound / norm)."""
    factor: Tensor = (bound / (norm + EPS)).clamp(max=1)
    return grad * factor


class ClipByValue(Transform):
    """Bound every element of the gradient."""

    max_grad_value: float | None = hyper(
        "",
        "the largest size of an element, or None for no bound",
        or_none(at_least(0, unbounded=True)),
        default=1.0,
    )

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient with every element moved into [-c, c]."""
        bound = group["max_grad_value"]
        return grad if bound is None else grad.clamp(-bound, bound)


class ClipByNorm(Transform):
    """Bound the norm of every parameter's gradient."""

    max_param_grad_norm: float | None = hyper(
        "",
        "the largest norm, or None for no bound",
        or_none(at_least(0, unbounded=True)),
        default=1.0,
    )

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient, at most as long as the bound."""
        bound = group["max_param_grad_norm"]
        return grad if bound is None else shortened(grad, grad.norm(), bound)


class ClipByGlobalNorm(Transform):
    """Bound the norm of all gradients together, as `torch.nn.utils.clip_grad_norm_` does.

    The norm is that of the groups which have a bound. `p.grad` stays as it is.
    """

    max_grad_norm: float | None = hyper(
        "",
        "the largest norm, or None for no bound",
        or_none(at_least(0, unbounded=True)),
        default=1.0,
    )

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return the square of the norm of one gradient."""
        return {} if group["max_grad_norm"] is None else {"grad_square": grad.square().sum()}

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient, shortened by the factor that all share."""
        bound = group["max_grad_norm"]
        if bound is None:
            return grad
        return shortened(grad, group["sums_over_all"]["grad_square"].sqrt(), bound)


class ClipUpdate(Transform):
    """Bound the root mean square of every parameter's update."""

    max_update_rms: float | None = hyper(
        "",
        "the largest root mean square d of an update before the learning rate, or None "
        "for no bound",
        or_none(above(0, unbounded=True)),
        default=1.0,
    )

    def update(
        self, state: State, group: Group, update: Tensor, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update, at most as large as the bound."""
        bound = group["max_update_rms"]
        if bound is None:
            return update
        factor: Tensor = (update.square().mean().sqrt() / bound).clamp(min=1)
        return update / factor

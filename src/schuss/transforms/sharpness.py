r"""SAM: the gradient at the worst point nearby.

Foret et al., *Sharpness-Aware Minimization for Efficiently Improving Generalization*, 2020,
Algorithm 1. <https://arxiv.org/abs/2010.01412>
Kwon et al., *ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep
Neural Networks*, 2021, Algorithm 1. <https://arxiv.org/abs/2102.11600>

$$
\begin{aligned}
\text{SAM:} \quad \hat e &= \rho\, \frac{g}{\lVert g \rVert_2} \\
\text{ASAM:} \quad \hat e &= \rho\, \frac{T^2 \odot g}{\lVert T \odot g \rVert_2},
    \quad T = |\theta| + \eta \\
g &\leftarrow \nabla L(\theta + \hat e)
\end{aligned}
$$

The norm is over all parameters. A step along the gradient at the top of the nearest hill leads to
where the loss is low all around, at the price of a second forward and backward pass. ASAM measures
the distance in units of the weights, so that it does not depend on how layers are scaled; $\eta$
lets weights at zero move. Its authors' code has $\rho = 0.5$, and takes biases as SAM does, which
is a group with `sam_adaptive=False`. The stabilizer of the norm is $10^{-12}$.
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import flag, hyper
from schuss.domains import at_least
from schuss.storage import master
from schuss.transforms.transform import Transform

EPS = 1e-12
"""The stabilizer of the norm, for gradients that are all zero."""


class SAM(Transform):
    """Take the gradient a step uphill. Keeps one buffer per parameter.

    `step` needs a closure, which is called twice; it clears the gradients, computes the loss and
    its gradients, and returns the loss. Whatever happens there, the parameters return.

    Example:
        >>> import torch
        >>> from schuss import SGD, SAM
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = SGD([weight], lr=0.5, transforms=[SAM(0.25)])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = weight.square().sum() / 2
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        0.5
        >>> weight.data  # 1 - 0.5 * 1.25
        tensor([0.3750])
    """

    sam_rho: float = hyper(
        "ρ", "distance to go uphill: 0.05 for SAM, 0.5 for ASAM", at_least(0), default=0.05
    )
    sam_adaptive: bool = flag(
        "measure the distance in units of the weights, as ASAM", default=False
    )
    sam_eta: float = hyper("η", "stabilizer, added to these units", at_least(0), default=0.01)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Make room for a copy of the parameter, while the parameter itself is uphill."""
        state["sam_uphill"] = False
        state["sam_param"] = param.detach().clone()

    def measure_climb(
        self, state: State, group: Group, grad: Tensor, param: Tensor
    ) -> dict[str, Tensor]:
        """Return the square of the norm of one gradient."""
        scaled = grad * units(group, param) if group["sam_adaptive"] else grad
        return {"sam_square": scaled.square().sum()}

    def climb(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Remember the parameter, and move it uphill."""
        state["sam_uphill"] = True
        state["sam_param"].copy_(param)
        norm = group["sums_over_all"]["sam_square"].sqrt()
        uphill = grad * units(group, param).square() if group["sam_adaptive"] else grad
        param.add_(uphill * (group["sam_rho"] / (norm + EPS)))

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Move the parameter back, and return the gradient of the other point."""
        self.skipped(state, group, grad, param)
        return grad

    def return_from_climb(self, state: State, param: Tensor) -> None:
        """Move the parameter, and what is kept beside it, back."""
        state["sam_uphill"] = False
        master.set_weight(state, param, state["sam_param"])

    def skipped(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Move the parameter back, if it is uphill."""
        if state["sam_uphill"]:
            param.copy_(state["sam_param"])
        state["sam_uphill"] = False


def units(group: Group, param: Tensor) -> Tensor:
    """Return the lengths in which ASAM measures the distance."""
    lengths: Tensor = param.abs() + group["sam_eta"]
    return lengths

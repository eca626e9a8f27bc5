r"""SM3: Adagrad with one number for each row and each column.

Anil, Gupta, Koren and Singer, *Memory-Efficient Adaptive Optimization*, 2019, Algorithm SM3-II.
<https://arxiv.org/abs/1901.11150>

$$
\begin{aligned}
\nu_t(i) &= \min_{r \ni i} \mu_{t-1}(r) + g_t(i)^2 \\
\mu_t(r) &= \max_{i \in r} \nu_t(i) \\
u_t &= \beta\, u_{t-1} + (1 - \beta)\, g_t / \sqrt{\nu_t + \epsilon}
\end{aligned}
$$

The sets $r$ are the slices of a tensor: the rows and the columns of a matrix, and so on along every
dimension. Each keeps the largest sum of squares $\mu$ that may be in it; an element takes the
smallest of its slices for its own, and is never below Adagrad's. Gradients of networks are large or
small by rows and columns, so that little is lost.

With `beta` above 0 the sums become means, $\nu = \beta_2 \min \mu + (1 - \beta_2)\, g^2$.

Tensors of which at most two dimensions are larger than 1 run on every engine, others on the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State, buffer, wide_dtype
from schuss.domains import SHARE, Domains, at_least
from schuss.factored import check_real
from schuss.optimizer import Optimizer
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class SM3(Optimizer):
    """SM3-II. Keeps one buffer per parameter; a vector for each dimension of tensors.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        momentum: Decay rate β of the mean of updates, in [0, 1]; with 0 no buffer is kept.
        beta: Decay rate β₂ of the squares, in [0, 1]; with 0 they are summed up.
        eps: Stabilizer ε, at least 0, added to the squares.
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        **options: See `schuss.Options`.
    """

    domains = Domains(momentum=SHARE, beta=SHARE, eps=at_least(0))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.1,
        momentum: float = 0.9,
        beta: float = 0.0,
        eps: float = 1e-30,
        weight_decay: float | WeightDecay = 0.0,
        **options: Unpack[Options],
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "beta": beta, "eps": eps}
        decay = as_weight_decay(weight_decay, decoupled=True)
        super().__init__(params, defaults, weight_decay=decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the accumulators at zero."""
        check_real(param)
        # A square may be too small to be added to a sum in half precision.
        dtype = wide_dtype(param)
        for number in range(max(param.dim(), 1)):
            sizes = [n if d == number else 1 for d, n in enumerate(param.shape)]
            state[f"accumulator_{number}"] = param.new_zeros(sizes, dtype=dtype)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient over the root of the bound of its squares, or a mean of these."""
        beta, dims = group["beta"], range(max(grad.dim(), 1))
        bound = state["accumulator_0"]
        for number in dims[1:]:
            bound = torch.minimum(bound, state[f"accumulator_{number}"])
        bound = bound * (beta or 1.0) + grad.square() * (1 - beta)
        for number in dims:
            others = [dim for dim in dims if dim != number]
            state[f"accumulator_{number}"] = bound.amax(others, keepdim=True) if others else bound
        update = grad / (bound + group["eps"]).sqrt()
        if group["momentum"]:
            update = buffer(state, "momentum_buffer", grad).lerp_(update, 1 - group["momentum"])
        return update

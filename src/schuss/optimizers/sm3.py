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
dimension. Each slice keeps a bound $\mu$ of the sums of squares in it. An element takes the
smallest bound of its slices for its own sum, which is never below Adagrad's. Gradients of networks
are large or small by rows and columns, so that little is lost.

With `beta` above 0 the sums become means, $\nu = \beta_2 \min \mu + (1 - \beta_2)\, g^2$.

Tensors of which at most two dimensions are larger than 1 run on every engine, others on the loop.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, buffer, wide_dtype
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import SHARE
from schuss.factored import check_real
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class SM3(Optimizer):
    """SM3-II. Keeps one buffer per parameter; a vector for each dimension of tensors."""

    lr: float | Tensor = rate(default=0.1)
    momentum: float = hyper(
        "β", "decay rate of the mean of updates; with 0 no buffer is kept", SHARE, default=0.9
    )
    beta: float = hyper(
        "β₂", "decay rate of the squares; with 0 they are summed up", SHARE, default=0.0
    )
    eps: float = stabilizer("added to the squares", default=1e-30)
    weight_decay: Decay = decay("decoupled", default=0.0)

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

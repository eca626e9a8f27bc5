r"""Adam-mini: Adam with one second moment for a whole block of weights.

Zhang et al., *Adam-mini: Use Fewer Learning Rates To Gain More*, 2024, Algorithm 1.
<https://arxiv.org/abs/2406.16793>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
v_t &= \beta_2 v_{t-1} + (1 - \beta_2) \operatorname{mean}_{\text{block}}(g_t^2) \\
u_t &= \hat m_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr)
\end{aligned}
$$

The Hessian of a transformer, the matrix of second derivatives of its loss, is close to
block-diagonal, and within a block one good learning rate is enough. Blocks differ from layer to
layer, so every group names its own with `blocks`. The authors take `"row"` (one output) for values,
projections, feed-forward layers, and tokens of embeddings and of the output; the number of heads
for queries and keys; `"tensor"` for normalizations; and `"element"`, which is Adam, for biases.
Vectors and scalars whose group says `"row"` are one block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import decay, hyper, moment_rates, rate, stabilizer
from schuss.domains import one_of, whole
from schuss.factored import check_real
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay

KINDS = ("row", "tensor", "element")


class AdamMini(Optimizer):
    """Adam-mini. Keeps one buffer per parameter, and one number for each block."""

    lr: float | Tensor = rate(default=1e-3)
    betas: tuple[float, float] = moment_rates(default=(0.9, 0.999))
    eps: float = stabilizer("added to the root of the second moment", default=1e-8)
    weight_decay: Decay = decay("decoupled", default=0.0)
    blocks: str | int = hyper(
        "",
        'the blocks that have one second moment: `"row"`, `"tensor"`, `"element"`, or, for a '
        "number of heads, as many equal parts of the first dimension",
        one_of(*KINDS, otherwise=whole(1)),
        default="row",
        kw_only=True,
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both moments at zero."""
        check_real(param)
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        of_each = group["blocks"] == "element"
        # The share of a late square is smaller than what half precision can add to a mean.
        dtype = param.dtype if of_each else wide_dtype(param)
        state["vmean"] = torch.zeros_like(blockwise(param, group["blocks"]), dtype=dtype)
        state["blocks"] = str(group["blocks"])

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the first moment over the root of the second of its block."""
        (beta1, beta2), step = group["betas"], state["step"]
        square = blockwise(grad.square(), group["blocks"])
        if state["blocks"] != str(group["blocks"]):
            state["vmean"] = blockwise(spread(state["vmean"], grad), group["blocks"])
            state["blocks"] = str(group["blocks"])
        m = state["exp_avg"].lerp_(grad, 1 - beta1)
        v = state["vmean"] = state["vmean"] * beta2 + square * (1 - beta2)
        root = (v / (1 - beta2**step)).sqrt() + group["eps"]
        m_hat: Tensor = m / (1 - beta1**step)
        if group["blocks"] in KINDS:
            return m_hat / root
        return (m_hat.reshape(group["blocks"], -1) / root).reshape(grad.shape)


def spread(means: Tensor, like: Tensor) -> Tensor:
    """Return a tensor of the shape of `like` in which each element is the mean of its block."""
    flat = means.reshape(len(means) if means.dim() else 1, -1)
    return flat.expand(len(flat), like.numel() // len(flat)).reshape_as(like)


def blockwise(x: Tensor, blocks: str | int) -> Tensor:
    """Return the mean of every block.

    Raises:
        ValueError: The first dimension cannot be divided into as many heads.
    """
    if blocks == "element":
        return x
    if isinstance(blocks, int):
        if not x.dim() or len(x) % blocks:
            raise ValueError(
                f"Invalid blocks: {blocks}; a parameter of shape {tuple(x.shape)} cannot be "
                "divided into as many heads"
            )
        return x.reshape(blocks, -1).mean(dim=1, keepdim=True)
    if blocks == "tensor" or x.dim() < 2:
        return x.mean()
    return x.mean(dim=tuple(range(1, x.dim())), keepdim=True)

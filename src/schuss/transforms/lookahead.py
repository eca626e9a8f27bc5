r"""Lookahead: k steps forward, one step back.

Zhang, Lucas, Hinton and Ba, *Lookahead Optimizer: k steps forward, 1 step back*, 2019, Algorithm 1.
<https://arxiv.org/abs/1907.08610>

$$
\text{every } k \text{ steps:} \quad
\phi \leftarrow \phi + \alpha\, (\theta - \phi), \qquad \theta \leftarrow \phi
$$

The slow weights $\phi$ go a part of the way that the fast ones went in $k$ steps, which averages
their zigzag out. The defaults are those of the authors' code; timm has 6 and 0.5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import hyper
from schuss.domains import SHARE, whole
from schuss.transforms.transform import Transform


class Lookahead(Transform):
    """Pull the weights back towards slow ones, every k steps. Keeps one buffer per parameter."""

    lookahead_k: int = hyper("k", "number of steps between", whole(1), default=5)
    lookahead_alpha: float = hyper(
        "α", "share of the way that the slow weights go", SHARE, default=0.8
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the slow weights where the parameter is."""
        state["lookahead_step"] = 0
        state["slow_param"] = param.detach().to(wide_dtype(param), copy=True)

    def parameter(self, state: State, group: Group, param: Tensor) -> None:
        """Count the step, and after k of them go back."""
        state["lookahead_step"] += 1
        slow, back = state["slow_param"], state["lookahead_step"] % group["lookahead_k"] == 0
        if isinstance(back, Tensor):  # while compiling
            slow.copy_(torch.where(back, slow.lerp(param, group["lookahead_alpha"]), slow))
            param.copy_(torch.where(back, slow, param))
        elif back:
            slow.lerp_(param, group["lookahead_alpha"])
            param.copy_(slow)

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
from schuss.domains import SHARE, Domains, whole
from schuss.transforms.transform import Transform


class Lookahead(Transform):
    """Pull the weights back towards slow ones, every k steps. Keeps one buffer per parameter.

    Args:
        lookahead_k: Number k of steps between, at least 1.
        lookahead_alpha: Share α of the way that the slow weights go, in [0, 1].
    """

    domains = Domains(lookahead_k=whole(1), lookahead_alpha=SHARE)

    def __init__(self, lookahead_k: int = 5, lookahead_alpha: float = 0.8) -> None:
        super().__init__(lookahead_k=lookahead_k, lookahead_alpha=lookahead_alpha)

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

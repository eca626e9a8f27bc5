r"""QK-Clip: weights of queries and keys, shrunk where attention logits have become too large.

Kimi Team, *Kimi K2: Open Agentic Intelligence*, 2025, Algorithm 1.
<https://arxiv.org/abs/2507.20534>

$$
\begin{aligned}
\gamma_h &= \min(1, \tau / S_h) \\
\theta_h &\leftarrow \gamma_h^{\alpha}\, \theta_h, \quad \text{after the step}
\end{aligned}
$$

The logits of an attention head are products of queries and keys. Where both weights grow, the
logits grow with the square, and softmax lets one token take all. $S_h$ is the largest logit of head
h since the last step, over all sequences and microbatches. Where it is above the threshold $\tau$,
the rows of that head in the weights of queries and of keys are multiplied so that it would have
been $\tau$: with $\alpha = 1/2$, the default, both by the root of the factor. In the layers of Kimi
K2 that share a part of the keys among the heads, the weights of rotary queries have $\alpha = 1$,
and the shared keys are left out.

The training loop has to tell the logits, which attention kernels do not return:

```
clip = QKClip()
layers = {"params": [attention.q.weight, attention.k.weight], "qk_heads": 12}
optimizer = Muon([layers, others], transforms=[clip])
...
clip.record(optimizer, {attention.q.weight: logits, attention.k.weight: logits})
optimizer.step()
```
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import hyper
from schuss.domains import SHARE, above, or_none, whole
from schuss.transforms.transform import Transform

if TYPE_CHECKING:
    from torch.optim import Optimizer

KEY = "max_logits"


class QKClip(Transform):
    """Shrink the heads whose logits were above a threshold. Keeps a number for each head."""

    qk_threshold: float = hyper(
        "τ", "the largest logit that is left alone", above(0), default=100.0
    )
    qk_share: float = hyper(
        "α", "the share of the factor that the parameter takes", SHARE, default=0.5
    )
    qk_heads: int | None = hyper(
        "",
        "the number of heads of a parameter, of equal numbers of rows; None leaves it alone",
        or_none(whole(1)),
        default=None,
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Begin without logits.

        Raises:
            ValueError: The rows of the parameter cannot be divided among its heads.
        """
        heads = group["qk_heads"]
        if heads is None:
            return
        if not param.dim() or param.shape[0] % heads:
            raise ValueError(
                f"a parameter of shape {tuple(param.shape)} cannot be divided among "
                f"qk_heads={heads}; set qk_heads in the groups of queries and keys only"
            )
        state[KEY] = param.new_zeros(heads, dtype=wide_dtype(param))

    def record(self, optimizer: Optimizer, logits: Mapping[Tensor, Tensor]) -> None:
        """Take note of the largest logits of heads, for the next step.

        Of several calls before a step the largest count. Before the first step there is nothing to
        take note in, and that step clips nothing.

        Args:
            optimizer: The optimizer.
            logits: The largest logit of each head, of shape (heads,), for each parameter.

        Raises:
            ValueError: A parameter has another number of heads, or none.
        """
        groups = optimizer.param_groups
        heads = {p: group.get("qk_heads") for group in groups for p in group["params"]}
        for param, values in logits.items():
            if heads.get(param) is None or values.shape != (heads[param],):
                raise ValueError(
                    f"logits of shape {tuple(values.shape)} for a parameter of shape "
                    f"{tuple(param.shape)} with qk_heads={heads.get(param)}; give a number for "
                    "each head, and the number of heads as qk_heads of its group"
                )
            if optimizer.state.get(param):  # it has begun; qk_heads may have come later
                self._note(optimizer.state[param], param, values.detach())

    def _note(self, state: State, param: Tensor, values: Tensor) -> None:
        if KEY not in state or state[KEY].shape != values.shape:
            state[KEY] = param.new_zeros(values.shape, dtype=wide_dtype(param))
        kept = state[KEY]
        kept.copy_(torch.maximum(kept, values.to(kept)))

    def parameter(self, state: State, group: Group, param: Tensor) -> None:
        """Shrink the heads, and forget the logits."""
        heads = group["qk_heads"]
        if heads is None or KEY not in state:
            return
        logits = state[KEY]
        if len(logits) != heads:  # those of another number of heads
            return
        factor = group["qk_threshold"] / logits.clamp(min=group["qk_threshold"])
        rows = param.reshape(heads, -1) * (factor ** group["qk_share"]).unsqueeze(-1)
        param.copy_(rows.reshape(param.shape))
        logits.zero_()

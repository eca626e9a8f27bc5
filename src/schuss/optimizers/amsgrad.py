r"""AMSGrad: Adam whose step sizes never grow back.

Reddi, Kale and Kumar, *On the Convergence of Adam and Beyond*, 2018, Algorithm 2.
<https://arxiv.org/abs/1904.09237>

$$
\begin{aligned}
v^{\max}_t &= \max\bigl(v^{\max}_{t-1},\, v_t\bigr) \\
u_t &= \hat m_t / \Bigl(\sqrt{v^{\max}_t / (1 - \beta_2^t)} + \epsilon\Bigr)
\end{aligned}
$$

Adam forgets a large, rare gradient after about $1 / (1 - \beta_2)$ steps, which can make it diverge
on convex problems. The paper does not correct the bias; here, as in `torch.optim`, it is corrected
after the maximum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.declarations import flag
from schuss.optimizers.adam import Adam

if TYPE_CHECKING:
    from schuss.contract import Group


class AMSGrad(Adam):
    """Adam with `amsgrad` on. Keeps three buffers per parameter."""

    amsgrad: bool = flag("divide by the largest second moment so far; see `AMSGrad`", default=True)

    def read_group(self, saved: Group) -> Group:
        """Return a group of a checkpoint, unless it is one of Adam without `amsgrad`."""
        if self.defaults["amsgrad"] and not saved.get("amsgrad", True):
            raise ValueError(
                "AMSGrad would become Adam by the loaded amsgrad=False; load it into Adam, or go "
                'on with AMSGrad by keep=("amsgrad",)'
            )
        return saved

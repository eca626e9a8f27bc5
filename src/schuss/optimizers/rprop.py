r"""Rprop: longer steps as long as the sign stays.

Riedmiller and Braun, *A direct adaptive method for faster backpropagation learning: the RPROP
algorithm*, 1993, in the form without backtracking of `torch.optim`.
<https://ieeexplore.ieee.org/document/298623>

$$
\begin{aligned}
\Delta_t &= \operatorname{clip}\begin{cases}
    \eta^+ \Delta_{t-1} & g_t g_{t-1} > 0 \\
    \eta^- \Delta_{t-1} & g_t g_{t-1} < 0 \text{; then } g_t \leftarrow 0 \\
    \Delta_{t-1} & \text{otherwise}
\end{cases} \\
\theta_t &= \theta_{t-1} - \operatorname{sign}(g_t)\, \Delta_t
\end{aligned}
$$

Only the signs of the gradients count, so that Rprop is for gradients of the whole data set: the
sign of a noisy gradient tells little. The learning rate is the length of the first step,
$\Delta_0 = \gamma$; the rule itself changes the lengths of later ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate
from schuss.domains import INSIDE, above, at_least, tuple_of
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class Rprop(Optimizer):
    """Rprop. Keeps two buffers per parameter.

    It writes its own step, because its steps do not follow the learning rate: transforms of the
    update do not apply.
    """

    lr: float = rate("length of the first step", default=1e-2)
    etas: tuple[float, float] = hyper(
        "η⁻, η⁺",
        "factors of the length, 0 < η⁻ < 1 < η⁺",
        tuple_of(INSIDE, above(1)),
        default=(0.5, 1.2),
    )
    step_sizes: tuple[float, float] = hyper(
        "",
        "the shortest and the longest step",
        tuple_of(at_least(0), at_least(0, unbounded=True)),
        default=(1e-6, 50.0),
    )
    weight_decay: Decay = decay(default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start with no gradient, and the length of the first step."""
        ones = torch.full_like(param, complex(1, 1) if param.is_complex() else 1.0)
        state["step"] = 0  # for checkpoints that go to torch.optim
        state["prev"] = torch.zeros_like(param)
        state["step_size"] = ones.mul_(self.get_lr(state, group))

    def step_param(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Lengthen or shorten the step of each weight, and take it against the gradient's sign."""
        state["step"] += 1
        grad = self.weight_decay(param, grad, group)
        (shrink, grow), (shortest, longest) = group["etas"], group["step_sizes"]
        agreement, length = grad * state["prev"], state["step_size"]
        longer = torch.where(agreement > 0, length * grow, length)
        length.copy_(torch.where(agreement < 0, length * shrink, longer).clamp(shortest, longest))
        kept = torch.where(agreement < 0, torch.zeros_like(grad), grad)
        param.sub_(kept.sign() * length)
        state["prev"].copy_(kept)

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group."""
        super().check_group(group)
        shortest, longest = group["step_sizes"]
        if shortest > longest:
            raise ValueError(
                f"Invalid step_sizes value: {group['step_sizes']!r}; step_sizes[0] must be at most "
                "step_sizes[1]"
            )

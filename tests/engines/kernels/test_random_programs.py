"""Rules drawn at random: kernels and torch's foreach functions take the path of the loop."""

from __future__ import annotations

from functools import partial

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from schuss import Optimizer

# Each takes two tensors and a number, and stays in [-8, 8] if they do.
OPERATIONS = {
    "add": lambda x, y, a: (x + y) / 2,
    "sub": lambda x, y, a: x.sub(y, alpha=a).clamp(-8, 8),
    "rsub": lambda x, y, a: (a - x).clamp(max=8),
    "mul": lambda x, y, a: (x * y).tanh(),
    "div": lambda x, y, a: a / (1 + y.square()),
    "lerp": lambda x, y, a: x.lerp(y, a),
    "addcmul": lambda x, y, a: torch.addcmul(x, x, y, value=a).clamp(-8, 8),
    "addcdiv": lambda x, y, a: torch.addcdiv(x, y, 1 + y.abs(), value=a).clamp(-8, 8),
    "maximum": lambda x, y, a: torch.maximum(x, y),
    "minimum": lambda x, y, a: torch.minimum(x, a * y),
    "sqrt": lambda x, y, a: x.abs().sqrt() - (y.abs() + a) ** 0.5,
    "pow": lambda x, y, a: (x.abs() + 0.5) ** a,
    "exp": lambda x, y, a: (-x.abs()).exp() + (1 + y.abs()).log(),
    "sign": lambda x, y, a: x.sign() * a - (-y).atan2(x),
    "where": lambda x, y, a: torch.where((x > y) | (x <= -a), x, -y),
    "in place": lambda x, y, a: x.clone().mul_(a).add_(y, alpha=0.5).neg_().clamp_(-8, 8),
    "mean": lambda x, y, a: x - a * y.mean(),
    "norm": lambda x, y, a: x / (1 + y.norm()) + a,
    "largest": lambda x, y, a: x * (a / (1 + y.abs().max())) - y.amin() / 8,
    "one number": lambda x, y, a: (x.sum() * a).tanh() * y + (x * y).mean().clamp(-8, 8).sum() / 8,
    "copied": lambda x, y, a: torch.zeros_like(x).copy_(y).fill_(a).add_(x / 2).clamp_(-8, 8),
}

STEP = st.tuples(
    st.sampled_from(sorted(OPERATIONS)),
    st.integers(0, 5),
    st.integers(0, 5),
    st.floats(0, 1, width=32),
    st.integers(0, 5),
)


class Drawn(Optimizer):
    """Runs a list of drawn operations over five places: gradient, parameter, and three states."""

    def __init__(self, params, steps, **options):
        self.steps = steps
        super().__init__(params, {"lr": 0.1}, **options)

    def init_state(self, state, group, param):
        state["step"], state["s"] = 0, torch.zeros_like(param)

    def step_param(self, state, group, grad, param):
        state["step"] += 1
        values: list[Tensor] = [grad, param, state["s"], grad * 0.5, param - 1, state["s"] + 1]
        for name, first, second, number, into in self.steps:
            values[into] = OPERATIONS[name](values[first], values[second], number)
        state["s"].copy_(values[2])
        if "late" not in state:
            state["late"] = values[3].clone()
        state["late"] = (state["late"] + values[4]) / (1 + state["step"])
        param.copy_(values[1].clamp(-8, 8)).add_(values[5].clamp(-8, 8), alpha=-group["lr"])


def path_of(steps, **options):
    """Return where two parameters and their states end after three steps."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, dtype=torch.float64, generator=generator)
    params = [nn.Parameter(draw(shape).clamp(-8, 8)) for shape in [(7,), (2, 3)]]
    optimizer = Drawn(params, steps, **options)
    for _ in range(3):
        for param in params:
            param.grad = draw(param.shape).clamp(-8, 8)
        optimizer.step()
    return [[p.detach(), *(optimizer.state[p][k] for k in ("s", "late"))] for p in params]


# Fewer examples for the kernels, because each is compiled.
@pytest.mark.parametrize(("engine", "examples"), [("foreach", 60), ("fused", 8)])
def test_a_drawn_rule_takes_the_path_of_the_loop(engine, examples):
    @settings(max_examples=examples)
    @given(st.lists(STEP, min_size=1, max_size=8))
    def follows_the_loop(steps):
        loop, other = path_of(steps, fused=False), path_of(steps, **{engine: True})
        # Rounding errors of float64; a comparison that falls the other way would be off by 1e-1.
        torch.testing.assert_close(other, loop, rtol=1e-9, atol=1e-9)

    follows_the_loop()

"""Rules of whole tensors drawn at random: the stages take the path of the loop."""

from __future__ import annotations

import hypothesis.strategies as st
import torch
from hypothesis import given, settings

from tests.conformance.strangers import Ruled
from tests.engines.kernels.interpreted import kernels_interpreted

# Each takes two square matrices and a number, and stays in [-1, 1] if they do.
OPERATIONS = {
    "product": lambda x, y, a: (x @ y).tanh(),
    "product with a transposed one": lambda x, y, a: torch.mm(x, y.mT).clamp(-1, 1),
    "transposed": lambda x, y, a: torch.permute(x, (1, 0)).mul(a) @ y,
    "elementwise": lambda x, y, a: torch.where(x > y, x * a, y.square()),
    "interpolated": lambda x, y, a: x.lerp(y, a),
    "rows": lambda x, y, a: (x.sum(1, keepdim=True) * y).tanh(),
    "norm": lambda x, y, a: x / (1 + x.norm()) - a * y.mean(),
    "triangle": lambda x, y, a: x.tril() + y.triu(1),
    "turned": lambda x, y, a: torch.flip(x, [0]) * a - torch.roll(y, 1, 1) * (1 - a),
    "trace": lambda x, y, a: (x * torch.trace(y) * a).tanh(),
    "one row": lambda x, y, a: x.select(0, 0).expand(3, 3).mul(a) - (1 - a) * y,
    "in place": lambda x, y, a: (x @ y).mul_(a).add_(y).clamp_(-1, 1),
    "in place, lower": lambda x, y, a: (x @ y).float().mul_(a).to(x.dtype).tanh(),
    "out": lambda x, y, a: torch.add(x @ y, y, alpha=a, out=torch.empty_like(x @ y)).tanh(),
    "several results": lambda x, y, a: torch.cat(torch.chunk(x @ y, 3), 0).tanh() * a,
}
WRITES = ("assign", "copy", "interpolate", "exchange", "take away")
NUMBER = st.integers(0, 4)
STEP = st.tuples(st.sampled_from(sorted(OPERATIONS)), NUMBER, NUMBER, st.floats(0, 1, width=16))
WRITE = st.tuples(st.sampled_from(WRITES), st.sampled_from("xyz"), NUMBER)


def ruled(steps, writes):
    """Return a rule that does the steps, and then writes what they left to the state."""

    def rule(state, group, grad, param):
        state.setdefault("x", torch.zeros_like(param))
        values = [grad.tanh(), param.tanh(), state["x"] * 1.0, state["y"] * 1.0]
        values.append((state["z"].mT @ state["z"]).tanh())
        for name, one, other, number in steps:
            values.append(OPERATIONS[name](values[-1 - one], values[-1 - other], number))
        for kind, key, number in writes:
            made = values[-1 - number]
            made = made.narrow(0, 0, 2) if key == "z" else made
            if kind == "copy" and key in state:
                state[key].copy_(made)
            elif kind == "interpolate" and key in state:
                state[key].lerp_(made, 0.25)
            elif kind == "exchange" and "x" in state:
                state["x"], state["y"] = state["y"], state["x"]
            elif kind == "take away":
                state.pop("x", None)
            else:
                state[key] = made.clone()
        param.mul_(0.5).sub_(values[-1], alpha=group["lr"])

    return rule


def start(state, param):
    state["y"] = torch.eye(3, dtype=param.dtype)
    state["z"] = torch.ones(2, 3, dtype=param.dtype)


def stepped(rule, count, **options):
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(3, 3, generator=generator).double() for _ in range(count)]
    optimizer = Ruled(params, rule, start, lr=0.25, **options)
    for step in range(3):
        for number, param in enumerate(params):
            grad = torch.randn(3, 3, generator=generator).double()
            param.grad = None if count > 1 and step == number == 1 else grad
        optimizer.step()
    return [(param, optimizer.state[param]) for param in params]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(STEP, min_size=1, max_size=6), st.lists(WRITE, max_size=3), st.sampled_from([1, 5]))
def test_stages_take_the_path_of_the_loop(steps, writes, count):
    rule = ruled(steps, writes)
    wanted = stepped(rule, count, foreach=False)
    for engine in ("fused", "foreach"):
        with kernels_interpreted():
            found = stepped(rule, count, **{engine: True})
        for (param, state), (twin, right) in zip(found, wanted, strict=True):
            assert state.keys() == right.keys()
            for one, other in [(param, twin), *((state[key], right[key]) for key in right)]:
                torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)

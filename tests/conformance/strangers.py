"""Rules as strangers write them, and an optimizer that takes one."""

from __future__ import annotations

import math

import torch

from schuss import Optimizer


class Ruled(Optimizer):
    """Takes its rule as an argument."""

    def __init__(self, params, rule, start=lambda state, param: None, lr=0.5, **options):
        self.rule, self.start = rule, start
        super().__init__(params, {"lr": lr}, **options)

    def init_state(self, state, group, param):
        self.start(state, param)

    def step_param(self, state, group, grad, param):
        self.rule(state, group, grad, param)


def lazily(state, group, grad, param):
    if "b" not in state:
        state["b"], state["calls"] = grad.clone(), 0
    state["b"] = 0.5 * state["b"] + grad
    state["calls"] += 1
    param.data -= group["lr"] * state["b"] / state["calls"] ** 0.5


def swapping(state, group, grad, param):
    state.setdefault("x", torch.zeros_like(grad))
    state.setdefault("y", torch.ones_like(grad))
    state["x"], state["y"] = state["y"], state["x"] + grad
    param.sub_(state["x"])


def deleting(state, group, grad, param):
    if state.pop("b", None) is None:
        state["b"] = grad.clone()
    param.sub_(grad)


def out_of_place(state, group, grad, param):
    target = torch.zeros_like(param)
    torch.maximum(param, grad, out=target)
    torch.add(target, grad, alpha=2, out=target)
    param.data = target.detach().clone().to(param.dtype)


def choosing(state, group, grad, param):
    up = (grad > 0) & ~(param > 1) | (grad.abs() <= 0.25)
    param.copy_(torch.where(up, param - 1, param.clamp(-0.5, 0.5) ** 3).tanh())


def reflected(state, group, grad, param):
    param.add_(1 - grad).sub_(2.0 * grad, alpha=0.5).div_(1 + 1 / (1 + grad**2)).neg_()
    param.copy_(2.0**param - grad.square().add(1).rsqrt() + torch.exp(-grad.abs()).log())


def with_tensors(state, group, grad, param):
    lr = torch.tensor(0.125)
    param.sub_(lr * grad).addcdiv_(grad, grad.abs() + lr, value=-0.5)


def through_views(state, group, grad, param):
    param.detach().add_(grad, alpha=-0.1)
    param.data.mul_(0.99)
    param.sub_(torch.dot(grad.view(-1), param.reshape(-1)) * grad.contiguous() * 1e-4)


def writing_into_the_gradient(state, group, grad, param):
    grad.mul_(2).clamp_(-1, 1)
    param.sub_(grad, alpha=0.1)


def masked(state, group, grad, param):
    param.sub_((grad > 0) * grad * 0.1 + (grad < 0).to(grad.dtype) * 0.01)


def reading_shapes(state, group, grad, param):
    scale = 1 / math.sqrt(param.numel() + 1) + param.ndim
    param.sub_(grad * scale * (0.1 if len(param.shape) > 1 else 0.2))


def counting_in_a_tensor(state, group, grad, param):
    state.setdefault("step", torch.tensor(0.0))
    state["step"] += 1
    state["m"] = state.get("m", torch.zeros_like(param)).mul(0.9).add(grad, alpha=0.1)
    param.sub_(0.1 * state["m"] / (1 - 0.9 ** state["step"]))


def trusting(state, group, grad, param):
    """Make two norms in one pass, and use both in the next: LAMB's ratio."""
    state["m"] = state.get("m", torch.zeros_like(param)).lerp(grad, 0.1)
    update = state["m"] / (state["m"].abs() + 1e-3)
    weight, length = param.norm(), update.norm()
    trust = torch.where((weight > 0) & (length > 0), weight / length, 1.0)
    param.sub_(0.1 * trust * update)


def standardizing(state, group, grad, param):
    """Need three passes: a mean, a deviation from it, a moment of what they make."""
    centered = grad - grad.mean()
    scaled = centered / (centered.square().mean().sqrt() + 1e-3)
    param.sub_(scaled * 0.01 + scaled.pow(3).mean() * 0.1)


def cautious(state, group, grad, param):
    m = state.setdefault("m", torch.ones_like(param))
    m.mul_(0.9).add_(grad, alpha=0.1)
    mask = (m * grad > 0).to(grad.dtype)
    param.sub_(m * (mask / mask.mean().clamp(min=1e-3)), alpha=0.1)


def normalizing(state, group, grad, param):
    """Keep one number for each tensor, made anew in each step."""
    square = grad.square().sum()
    state["v"] = 0.5 * state["v"] + square if "v" in state else square
    param.sub_(0.1 * grad / (state["v"].sqrt() + 1e-3))


def normalizing_in_place(state, group, grad, param):
    """Keep one number for each tensor, changed in place."""
    if "v" not in state:
        state["v"] = torch.zeros_like(grad.sum())
    state["v"].lerp_(torch.linalg.vector_norm(grad), 0.5)
    param.sub_(0.1 * grad / (state["v"] + 1e-3))


def broadcasting(state, group, grad, param):
    state.setdefault("b", torch.zeros_like(param)).copy_(grad.mean())
    param.sub_(state["b"])


ELEMENTWISE = [
    lazily,
    swapping,
    deleting,
    out_of_place,
    choosing,
    reflected,
    with_tensors,
    writing_into_the_gradient,
    masked,
    reading_shapes,
    counting_in_a_tensor,
]


def reducing_twice(state, group, grad, param):
    """Reduce what is one number already: it is its own sum, mean and norm."""
    length = grad.norm()
    same = (
        length.sum() + length.mean() + length.norm() + length.max() + length.square().sum().sqrt()
    )
    param.sub_(0.1 * grad / (same / 5 + 1e-3))


def reducing_out_of_order(state, group, grad, param):
    """Write the norm of a norm's quotient before a norm that a pass makes earlier."""
    length = grad.norm()
    quotient = (grad / length + 1).norm()
    param.sub_(grad * (length + 10 * quotient + 100 * param.norm()) * 1e-3)


def by_extremes(state, group, grad, param):
    """Make the largest and the smallest number of all chunks."""
    largest, smallest = grad.abs().max(), (grad * param).amin()
    param.sub_(0.1 * grad / (largest + 1e-3) + 0.01 * smallest)


REDUCING = [
    by_extremes,
    reducing_twice,
    reducing_out_of_order,
    through_views,
    trusting,
    standardizing,
    cautious,
    normalizing,
    normalizing_in_place,
    broadcasting,
]

"""Rules of whole tensors as strangers write them: the loop's numbers, or a refusal."""

from __future__ import annotations

import pytest
import torch

from tests.engines.kernels.interpreted import kernels_interpreted
from tests.engines.kernels.test_staged import assert_alike, made, start, stepped

SHAPES = [(4, 4)] * 4 + [(2, 3)]


def writing_through_a_flat_view(state, group, grad, param):
    gram = grad @ grad.mT
    chosen = gram.abs().flatten().topk(2).indices
    mask = torch.zeros_like(gram).flatten().scatter(0, chosen, 1.0).view_as(gram)
    state["left"] = torch.where(mask > 0, gram, state["left"])
    param.sub_(0.01 * state["left"] @ grad)


def reading_then_writing_a_state(state, group, grad, param):
    before = state["left"].mT @ grad
    state["left"].lerp_(grad @ grad.mT, 0.5)
    param.sub_(0.01 * before + 0.01 * state["left"].mT @ grad)


def exchanging_states(state, group, grad, param):
    state.setdefault("right", 2 * state["left"])
    state["left"], state["right"] = state["right"], state["left"]
    old = state["left"].clone()
    state["left"].copy_(state["right"].to(grad.dtype))
    state["right"].copy_(old + 0.1 * grad @ grad.mT)
    param.sub_(0.1 * state["left"] @ grad)


def keeping_the_old_parameter(state, group, grad, param):
    twice = param.permute(1, 0).expand(2, -1, -1)
    if "old" in state:
        state["old"].copy_(twice)
    else:
        state["old"] = twice.clone()
    param.sub_(0.1 * (grad @ grad.mT) @ grad)


def into_out(state, group, grad, param):
    product = grad @ grad.mT
    other = torch.empty_like(product)
    torch.matmul(state["left"], product, out=other)
    torch.add(other, product, out=state["left"])
    torch.mul(other, 0.5, out=other)
    torch.mul(grad, 2, out=product @ grad)
    torch.mul(product @ grad, 0.5, out=state["mean"])
    torch.addmm(grad, other, grad, out=state["mean"])
    param.sub_(0.01 * state["mean"])


def with_a_tensor_written_later(state, group, grad, param):
    ones = torch.ones(len(grad), len(grad), dtype=grad.dtype)
    summed = ones @ grad
    ones.add_(5)
    param.sub_(0.01 * summed * torch.ones(grad.shape, dtype=grad.dtype).cumsum(0))


def with_operators(state, group, grad, param):
    x = grad @ torch.ones(grad.shape[1], 2, dtype=grad.dtype)
    y = x % 2 + x // 3 + (+x) + 2 % (x.abs() + 1) + 7 // (x.abs() + 1) + 2 ** (x / 8) - (3 - x)
    mask = ((x > 0) ^ (x < 3)) & ~(x < -2) | (True & (x > 1))
    x %= 2
    x //= 0.5
    mask &= y < 100
    param.sub_(0.01 * (torch.where(mask, y, -y) + x).sum(-1)[:, None])


def with_a_tensor_of_more_dimensions(state, group, grad, param):
    diagonal = (grad @ grad.mT).diagonal()
    table = diagonal * torch.arange(4.0, dtype=grad.dtype)[:, None].expand(4, len(grad))
    row = torch.reshape(diagonal, shape=(1, -1))
    param.sub_(0.01 * (table.mT @ table.sum(1)) @ grad + 0.01 * row @ grad)


def rows_of_a_tensor_of_its_own(state, group, grad, param):
    rows = grad.sum(1, keepdim=True) * torch.ones(grad.shape, dtype=grad.dtype)
    state["mean"] = rows + 0.01 * (grad @ grad.mT @ grad)
    state["rows"] = grad.mean(1, keepdim=True) * torch.ones(grad.shape, dtype=grad.dtype)
    param.sub_(0.1 * state["mean"])


def half_written(state, group, grad, param):
    half = (grad @ grad.mT @ grad).bfloat16()
    half.add_(grad)
    gram = (grad @ grad.mT).bfloat16()
    gram.add_(grad @ grad.mT)
    param.sub_(0.01 * half).sub_(0.01 * (gram.to(grad.dtype) @ grad))


def assigning_data(state, group, grad, param):
    state["left"].data = state["left"] * 0.5
    param.data = param - 0.01 * (state["left"] @ grad)


def without_a_batching_rule(state, group, grad, param):
    levels = torch.bucketize(grad.mT @ grad, torch.arange(-3.0, 3.0, dtype=grad.dtype))
    counted = torch.histc(grad @ grad.mT, bins=3, min=-3, max=3)
    param.sub_(0.01 * (grad @ levels.to(grad.dtype)) * counted.max())


def only_the_state(state, group, grad, param):
    state["left"].add_(state["left"] @ state["left"], alpha=0.01)


def coming_and_going(state, group, grad, param):
    state["step"] += 1
    if state["step"] == 2:
        del state["left"]
    if state["step"] == 4:
        state["left"] = grad @ grad.mT
    param.sub_(0.01 * state["left"] @ grad if "left" in state else grad)


def reading_a_view_ahead_of_writing(state, group, grad, param):
    step = param.narrow(0, 0, len(param)) * group["lr"]
    param.mul_(0.5)
    param.sub_(step)


def with_parts_and_lists(state, group, grad, param):
    rank = group.get("rank", 2)
    left, values, right = torch.linalg.svd(grad, full_matrices=False)
    low = (left[:, :rank] * values[:rank]) @ right[:rank]
    order = grad.square().sum(1).argsort()
    param.sub_(0.1 * low).sub_(0.01 * grad[order]).sub_(0.01 * grad[[1, 0]].sum(0))
    param.sub_(0.01 * torch.cat([grad, param])[1 : len(grad) + 1])


def with_norms_of_several_kinds(state, group, grad, param):
    spectral, nuclear = torch.linalg.matrix_norm(grad, 2), torch.linalg.norm(grad, ord="nuc")
    gram = grad @ grad.mT + torch.eye(len(grad), dtype=grad.dtype)
    both = torch.stack(torch.linalg.slogdet(gram))
    param.sub_(0.1 * grad / spectral + 0.1 * grad / nuclear + 0.01 * both.sum() * grad)


def keeping_a_trace(state, group, grad, param):
    """Keep one number of a product: made in the first step, and in the state from the start."""
    gram = grad @ grad.mT
    state["trace"] = 0.5 * state["trace"] + gram.trace() if "trace" in state else gram.trace()
    state["size"].lerp_(gram.diagonal().amax().reshape(1), 0.5)
    param.sub_(0.1 * grad / state["trace"] + 0.1 * grad / (1 + state["size"]))


AGREEING = [
    with_parts_and_lists,
    with_norms_of_several_kinds,
    keeping_a_trace,
    reading_a_view_ahead_of_writing,
    writing_through_a_flat_view,
    reading_then_writing_a_state,
    exchanging_states,
    keeping_the_old_parameter,
    into_out,
    with_a_tensor_written_later,
    with_operators,
    with_a_tensor_of_more_dimensions,
    rows_of_a_tensor_of_its_own,
    half_written,
    assigning_data,
    without_a_batching_rule,
    only_the_state,
    coming_and_going,
]


def begun(state, param):
    start(state, param)
    state["size"] = torch.zeros(1, dtype=param.dtype)


@pytest.mark.parametrize("rule", AGREEING)
@pytest.mark.parametrize("shapes", [SHAPES, [(3, 5)]], ids=["several", "one"])
@pytest.mark.parametrize("engine", ["fused", "foreach"])
def test_it_agrees_with_the_loop(rule, shapes, engine):
    with kernels_interpreted():
        cut = made(rule, shapes, start=begun, **{engine: True})
        stepped(cut)
    loop = made(rule, shapes, start=begun, foreach=False)
    stepped(loop)
    assert_alike(cut, loop, 1e-12)


def a_view_of_old_numbers(state, group, grad, param):
    gram = grad @ grad.mT
    diagonal = gram.diagonal()
    gram.mul_(3)
    param.sub_(diagonal[:, None] * grad)


def a_view_of_the_old_parameter(state, group, grad, param):
    row = param.narrow(0, 0, 1)
    param.mul_(0.5)
    param.sub_(0.1 * row)


def a_view_of_a_view(state, group, grad, param):
    turned = (grad @ grad.mT).mT
    first = turned[0]
    state["left"].copy_(turned)
    old = state["left"].mT.select(0, 0)
    state["left"].zero_()
    param.sub_((first + old)[:, None] * grad)


def written_under_another_name(state, group, grad, param):
    gram = grad @ grad.mT
    gram.to(gram.dtype).add_(1)
    param.sub_(gram @ grad)


def written_by_einsum(state, group, grad, param):
    gram = grad @ grad.mT
    torch.einsum("ii->i", gram).add_(1)
    param.sub_(gram @ grad)


def reading_where_it_lies(state, group, grad, param):
    gram = grad @ grad.mT
    param.sub_(gram @ grad if gram.data_ptr() % 2 else 2 * gram @ grad)


def changing_its_shape(state, group, grad, param):
    state["step"] += 1
    state["left"] = (grad @ grad.mT)[: 1 + state["step"] % 2].clone()
    param.sub_(grad)


def drawing_with_a_generator(state, group, grad, param):
    noise = torch.rand(len(grad), dtype=grad.dtype, generator=GENERATOR)
    param.sub_(grad @ grad.mT @ grad * noise[:, None])


def drawing_within(state, group, grad, param):
    left, _, right = torch.svd_lowrank(grad @ grad.mT, q=1)
    param.sub_((left @ right.mT) @ grad)


GENERATOR = torch.Generator()
REFUSED = {
    a_view_of_old_numbers: "a view of a tensor that was written to since",
    a_view_of_the_old_parameter: "a view of a tensor that was written to since",
    a_view_of_a_view: "a view of a tensor that was written to since",
    written_under_another_name: "writing into a part or another view",
    written_by_einsum: "writing into a part or another view",
    reading_where_it_lies: "how a tensor lies in memory",
    changing_its_shape: "changes its shape",
    drawing_with_a_generator: "draws a tensor at random",
    drawing_within: "torch.svd_lowrank of a whole tensor",
}


@pytest.mark.parametrize(("rule", "message"), REFUSED.items())
def test_what_cannot_be_cut_is_refused(rule, message):
    optimizer = made(rule, SHAPES, fused=True)
    before = [param.clone() for param in optimizer.param_groups[0]["params"]]
    with pytest.raises(RuntimeError, match=message):
        stepped(optimizer, 1)
    assert all(map(torch.equal, before, optimizer.param_groups[0]["params"]))


def test_a_generator_is_left_as_it_was_by_a_refused_rule():
    with kernels_interpreted():
        optimizer = made(reading_then_writing_a_state, SHAPES, fused=True)
        stepped(optimizer, 1)
        state = GENERATOR.manual_seed(3).get_state()
        optimizer.rule = drawing_with_a_generator
        with pytest.raises(RuntimeError, match="draws a tensor at random"):
            stepped(optimizer, 1)
    assert torch.equal(GENERATOR.get_state(), state)

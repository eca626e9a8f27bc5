"""The stacked engine agrees with the loop, and leaves to it what it cannot take."""

from __future__ import annotations

import pytest
import torch

from schuss import SGD
from schuss.storage.codecs import Encoded
from schuss.storage.master import REMAINDER
from tests.conformance.strangers import Ruled

SHAPES = [(6, 4)] * 11 + [(4, 4)] * 10 + [(5, 3)]

pytestmark = pytest.mark.filterwarnings("ignore:.*slower one")


def with_ones(x):
    """Return a matrix with ones added to its diagonal, by writing into a view of it."""
    x = x.clone()
    x.diagonal().add_(1)
    return x


def whitened(state, group, grad, param):
    """Divide by a running mean of the products of rows."""
    state["factor"].lerp_(grad @ grad.mT, 0.1)
    param.sub_(group["lr"] * torch.linalg.solve(with_ones(state["factor"]), grad))


def identity(state, param):
    state["factor"] = torch.eye(len(param), dtype=param.dtype)


def turned(state, group, grad, param):
    """Take the sign in a basis that is another one in every third step, and forget it after ten."""
    basis = state.get("basis", torch.eye(grad.shape[1], dtype=grad.dtype))
    state["calls"] = state.get("calls", 0) + 1
    if state["calls"] % 3 == 1:
        basis = torch.linalg.qr(with_ones(grad.mT @ (grad @ basis)))[0]
    state["basis"] = basis
    if state["calls"] % 10 == 0:
        del state["basis"]
    param.sub_(group["lr"] * torch.sign(grad @ basis) @ basis.mT)


def cubic(state, group, grad, param):
    """Take two steps towards the nearest matrix with orthogonal columns."""
    x = grad / (grad.norm() + 1e-7)
    for _ in range(2):
        x = 2 * x - 0.5 * with_ones(x @ x.mT) @ x
    state["kept"] = x
    param.mul_(0.99).sub_(x, alpha=group["lr"])


def made(rule, shapes=SHAPES, dtype=torch.float64, **options):
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    start = identity if rule is whitened else lambda state, param: None
    return Ruled(params, rule, start, **options)


def stepped(optimizer, steps=11):
    params = optimizer.param_groups[0]["params"]
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        for number, param in enumerate(params):
            param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)
            if step == 3 and number % 10 == 0:
                param.grad = None  # so that its numbers differ from then on
        optimizer.step()
    return params


def engines(optimizer):
    return {cohort.engine: cohort.parameters for cohort in optimizer.explain().cohorts}


@pytest.mark.parametrize("rule", [whitened, turned, cubic])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"maximize": True},
        {"dtype": torch.float32},
        {"dtype": torch.bfloat16},
        {"dtype": torch.bfloat16, "master_weights": True},
    ],
    ids=str,
)
def test_it_agrees_with_the_loop(rule, options):
    stacked, loop = made(rule, **options), made(rule, foreach=False, **options)
    params = zip(stepped(stacked), stepped(loop), strict=True)
    tolerance = 1e-13 if options.get("dtype", torch.float64) is torch.float64 else 1e-5
    for x, y in params:
        weights = stacked.master(x), loop.master(y)
        torch.testing.assert_close(*weights, rtol=tolerance, atol=tolerance)
        assert stacked.state[x].keys() == loop.state[y].keys()
        for key, value in stacked.state[x].items():
            if key == REMAINDER:  # of which the last bits are those of the weight
                continue
            torch.testing.assert_close(value, loop.state[y][key], rtol=tolerance, atol=tolerance)
    alone = 4 if rule is turned else 1
    assert engines(stacked) == {"stacked": len(SHAPES) - alone, "loop": alone}


def written_to(state, group, grad, param):
    state["mean"].lerp_(with_ones(grad @ grad.mT) @ grad, 0.1)
    param.sub_(state["mean"], alpha=group["lr"])


def replaced(state, group, grad, param):
    state["mean"] = with_ones(grad @ grad.mT) @ state["mean"] + grad
    param.sub_(state["mean"], alpha=group["lr"])


@pytest.mark.parametrize("rule", [written_to, replaced])
@pytest.mark.parametrize("storage", ["int8", "int4", "bf16"])
def test_state_in_codes_is_that_of_the_loop(rule, storage):
    def start(state, param):
        state["mean"] = torch.ones_like(param)

    kept = {"mean": storage}
    shapes = [torch.randn(64, 65, generator=torch.Generator().manual_seed(n)) for n in range(9)]
    found = []
    for engine in ({}, {"foreach": False}):
        params = [x.clone() for x in shapes]
        optimizer = Ruled(params, rule, start, 1e-4, state_storage=kept, **engine)
        stepped(optimizer, steps=2)
        found.append([(param, optimizer.state[param]["mean"]) for param in params])
        assert engines(optimizer) == ({"loop": 9} if engine else {"stacked": 9})
    for (x, mine), (y, other) in zip(*found, strict=True):
        torch.testing.assert_close(x, y)
        assert type(mine) is type(other)
        if isinstance(mine, Encoded):
            codes = (each.codec.unpacked(each.codes, each.numel()) for each in (mine, other))
            off = torch.sub(*(each.int() for each in codes)).abs()
            assert off.max() <= 1
            assert off.double().mean() < 2e-3
        else:
            assert mine.dtype is other.dtype is torch.bfloat16
            torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("rule", [whitened, turned, cubic])
def test_products_have_the_same_bits(rule):
    shapes = [(16, 16)] * 8
    x, y = (stepped(made(rule, shapes, **options)) for options in ({}, {"foreach": False}))
    if rule is cubic:
        assert all(map(torch.equal, x, y))
    for one, other in zip(x, y, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-14)


def reading(state, group, grad, param):
    if (grad @ grad.mT).trace().item() > 0:
        param.sub_(grad)


def branching(state, group, grad, param):
    if (grad @ grad.mT).trace() > 0:
        param.sub_(grad)


def drawing(state, group, grad, param):
    param.sub_(grad @ torch.randn(grad.shape[1], grad.shape[1], dtype=grad.dtype))


@pytest.mark.parametrize("rule", [reading, branching, drawing])
def test_the_loop_takes_a_rule_that_is_not_for_stacks(rule):
    torch.manual_seed(0)
    one = stepped(optimizer := made(rule), steps=2)
    assert engines(optimizer) == {"loop": len(SHAPES)}
    assert "not for stacks" in optimizer.explain().cohorts[0].reason
    if rule is drawing:  # whose numbers are drawn in another order
        return
    torch.manual_seed(0)
    assert all(map(torch.equal, one, stepped(made(rule, foreach=False), steps=2)))


def late(state, group, grad, param):
    state["calls"] = state.get("calls", 0) + 1
    product = grad @ grad.mT
    if state["calls"] > 2 and product.trace() < 0:
        return
    param.sub_(with_ones(product) @ grad)


def test_a_rule_that_is_not_for_stacks_from_some_step_on_loses_no_step():
    one = stepped(optimizer := made(late), steps=4)
    for x, y in zip(one, stepped(made(late, foreach=False), steps=4), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=0)
    assert engines(optimizer) == {"loop": len(SHAPES)}


def raising(state, group, grad, param):
    state["calls"] = state.get("calls", 0) + 1
    param.sub_(grad @ grad.mT @ grad)
    if state["calls"] == 3:
        raise ValueError("third")


def test_an_error_of_the_rule_is_that_of_the_loop():
    optimizer = made(raising)
    stepped(optimizer, steps=2)
    with pytest.raises(ValueError, match="third"):
        stepped(optimizer, steps=2)


def test_few_and_large_parameters_are_left_to_the_loop():
    few = made(cubic, [(6, 4)] * 7)
    large = made(cubic, [(600, 600)] * 8)
    for optimizer in (few, large):
        stepped(optimizer, steps=1)
        assert engines(optimizer).keys() == {"loop"}
        assert "are alike" in optimizer.explain().cohorts[0].reason


def test_parameters_that_share_memory_are_left_to_the_loop():
    memory = torch.randn(9, 4, 4, dtype=torch.float64)
    params = [*memory.clone().unbind()[:8], memory[8]]
    params[1] = params[0].view_as(params[1])
    optimizer = Ruled(params, cubic)
    stepped(optimizer, steps=1)
    assert engines(optimizer) == {"loop": 9}


def test_a_rule_that_a_kernel_can_run_is_not_stacked():
    optimizer = SGD([torch.randn(4, 4) for _ in range(9)], lr=0.1)
    assert engines(optimizer) == {"fused": 9}


def test_the_explanation_tells_the_stacks():
    told = str(made(cubic).explain())
    assert "21 parameters, 424 numbers of float64, on the stacked engine" in told
    assert "in 2 stacks: 11x6x4, 10x4x4" in told
    assert "1 parameters, 15 numbers of float64, on the loop engine" in told

"""Rules that work on whole matrices: programs, and functions of torch between them."""

from __future__ import annotations

import gc

import pytest
import torch

from schuss import Optimizer
from schuss.engines.cohorts.calls import Stacks
from schuss.engines.foreach import members
from schuss.engines.kernels import staged
from schuss.matrices import orthogonalized
from tests.conformance.strangers import Ruled

SHAPES = [(6, 4)] * 5 + [(4, 4)] * 3 + [(3, 7)]
OPTIONS = [
    {},
    {"maximize": True},
    {"dtype": torch.float32},
    {"dtype": torch.bfloat16},
    {"dtype": torch.bfloat16, "master_weights": True},
    {"dtype": torch.bfloat16, "master_weights": 24},
    {"dtype": torch.bfloat16, "rounding": "kahan"},
    {"dtype": torch.float16},
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 3e-3}


def start(state, param):
    state["step"] = 0
    state["mean"] = torch.zeros_like(param)
    state["left"] = torch.eye(len(param), dtype=param.dtype)


def orthogonal(state, group, grad, param):
    """Take steps towards the nearest orthogonal matrix, written by hand."""
    state["mean"].lerp_(grad, 0.1)
    x = state["mean"] / (state["mean"].norm() + 1e-7)
    for _ in range(3):
        product = x @ x.mT
        x = 2 * x + (-1.5 * product + 0.5 * product @ product) @ x
    param.mul_(0.99).sub_(group["lr"] * x)


def preconditioned(state, group, grad, param):
    """Divide by the root of a running mean of products, by its eigenvalues."""
    state["left"].lerp_(grad @ grad.mT, 0.1)
    values, vectors = torch.linalg.eigh(state["left"])
    turned = vectors.mT @ grad
    state["mean"].mul_(0.9).add_(vectors @ (turned / values.clamp(min=1e-6).sqrt()[:, None]))
    param.sub_(state["mean"], alpha=group["lr"])


def chosen(state, group, grad, param):
    """Step a third of the rows, in a basis that changes in every second step."""
    state["step"] += 1
    basis = state.get("basis")
    if basis is None or state["step"] % 2 == 0:
        basis = torch.linalg.qr(grad.mT @ grad)[0]
    state["basis"] = basis
    state["mean"].mul_(0.5).add_(grad @ basis)
    rows = torch.topk(state["mean"].abs().sum(1), -(-len(grad) // 3)).indices
    update = torch.zeros_like(grad).index_copy(0, rows, state["mean"].index_select(0, rows))
    param.sub_(group["lr"] / state["step"] * (update @ basis.mT))


def flattened(state, group, grad, param):
    """See a tensor of four dimensions as a matrix, and its rows as parts of it."""
    flat = grad.reshape(len(grad), -1)
    gram = torch.einsum("ij,kj->ik", flat, flat)
    scale = 1 / gram.diagonal().sum().sqrt()
    param.sub_((gram @ flat * scale).reshape(param.shape), alpha=group["lr"])
    param.add_(flat.flip(1).reshape(param.shape).tanh(), alpha=1e-3)


def batched(state, group, grad, param):
    """Take products of parts of a parameter, in half precision."""
    parts = grad.reshape(2, len(grad) // 2, -1).bfloat16()
    product = torch.bmm(parts, parts.mT).to(grad.dtype)
    param.sub_(group["lr"] * (product @ grad.reshape(2, len(grad) // 2, -1)).reshape(param.shape))


class Once(Optimizer):
    """Takes a rule that is a function of its arguments, which is traced once."""

    traced_once = True

    def __init__(self, params, rule, start, lr, **options):
        self.rule, self.start = rule, start
        super().__init__(params, {"lr": lr}, **options)

    def init_state(self, state, group, param):
        self.start(state, param)

    def step_param(self, state, group, grad, param):
        self.rule(state, group, grad, param)


def made(rule, shapes=SHAPES, dtype=torch.float64, kind=Ruled, start=start, **options):
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    return kind(params, rule, start, lr=0.1, **options)


def stepped(optimizer, steps=5, without=lambda step, number: step == 3 and number % 4 == 0):
    params = optimizer.param_groups[0]["params"]
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        for number, param in enumerate(params):
            grad = torch.randn(param.shape, generator=generator).to(param.dtype)
            param.grad = None if without(step, number) else grad
        optimizer.step()
    return params


def assert_alike(one, other, tolerance):
    for x, y in zip(one.param_groups[0]["params"], other.param_groups[0]["params"], strict=True):
        torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)
        assert one.state[x].keys() == other.state[y].keys()
        for key, value in one.state[x].items():
            torch.testing.assert_close(value, other.state[y][key], rtol=tolerance, atol=tolerance)


ENGINES = pytest.mark.parametrize("engine", ["fused", "foreach"])


def in_half(state, group, grad, param):
    """Multiply in bfloat16: the gradient as it lies there, and something that is computed."""
    state["mean"].lerp_(grad, 0.1)
    x, y = state["mean"].to(torch.bfloat16), grad.bfloat16()
    products = (y @ x.mT @ y).float()
    again = (products @ grad.mT).half() @ (0.5 * grad).half()
    param.sub_(group["lr"] * (0.1 * products + 0.01 * again.float() + orthogonalized(grad)))


@ENGINES
def test_programs_write_and_read_the_precision_of_the_products(engine):
    options = {"dtype": torch.float32}
    cut, loop = made(in_half, **{engine: True}, **options), made(in_half, foreach=False, **options)
    stepped(cut)
    stepped(loop)
    assert_alike(cut, loop, 2e-2)
    text = str(cut.explain())
    assert text.count(" in bfloat16 <- v") == 2 * len(set(SHAPES))
    assert text.count(" in float16 <- v") == len(set(SHAPES))
    assert not any(f"= {name}(b" in text for name in ("to", "bfloat16"))


@ENGINES
@pytest.mark.parametrize("rule", [orthogonal, preconditioned, chosen])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_agrees_with_the_loop(rule, options, engine):
    cut, loop = made(rule, **{engine: True}, **options), made(rule, foreach=False, **options)
    stepped(cut)
    stepped(loop)
    assert_alike(cut, loop, TOLERANCE[options.get("dtype", torch.float64)])


@ENGINES
@pytest.mark.parametrize("rule", [flattened, batched])
def test_parameters_of_other_shapes_are_seen_as_matrices(rule, engine):
    shapes = [(4, 3, 2, 2)] * 3 if rule is flattened else [(4, 3), (6, 5), (4, 3)]
    cut, loop = made(rule, shapes, **{engine: True}), made(rule, shapes, foreach=False)
    for optimizer in (cut, loop):
        for state in (optimizer.state[p] for p in optimizer.param_groups[0]["params"]):
            state.clear()
        stepped(optimizer)
    assert_alike(cut, loop, 1e-12)


@ENGINES
@pytest.mark.parametrize("rule", [orthogonal, preconditioned, chosen])
def test_some_parameters_at_a_time_are_as_all_at_once(rule, engine, monkeypatch):
    shapes = [(6, 4)] * 11
    whole = made(rule, shapes, **{engine: True})
    stepped(whole)
    monkeypatch.setattr(staged, "CHUNK", 5 * 24)
    monkeypatch.setitem(members.PIECE, "cpu", 5 * 24)
    parts = made(rule, shapes, **{engine: True})
    stepped(parts)
    assert_alike(parts, whole, 1e-13)


@ENGINES
def test_parameters_that_are_not_laid_out_in_rows_are_seen_in_rows(engine):
    cut, loop = (
        Ruled(
            [torch.randn(4, 6, generator=torch.Generator().manual_seed(2)).double().T],
            orthogonal,
            start,
            **o,
        )
        for o in ({engine: True}, {"foreach": False})
    )
    stepped(cut, without=lambda *_: False)
    stepped(loop, without=lambda *_: False)
    assert_alike(cut, loop, 1e-12)


@ENGINES
def test_autograd_notices_what_was_written(engine):
    optimizer = made(orthogonal, **{engine: True})
    (param, *_) = optimizer.param_groups[0]["params"]
    weight = param.requires_grad_()
    loss = (weight**2).sum()
    stepped(optimizer, without=lambda *_: False)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def failing(state, group, grad, param):
    state["step"] += 1
    torch.linalg.cholesky(grad @ grad.mT * (1.0 if state["step"] < 3 else -1.0))
    param.sub_(torch.linalg.cholesky(grad @ grad.mT * (1.5 - state["step"] // 2)))


@ENGINES
def test_a_function_that_fails_says_why(engine):
    optimizer = made(failing, [(4, 4)] * 3, **{engine: True})
    stepped(optimizer, 2)
    with pytest.raises(RuntimeError, match="not positive-definite"):
        stepped(optimizer, 2)


def inverting(state, group, grad, param):
    """Step along an inverse, which is kept from the first step on."""
    state["step"] += 1
    inverse = torch.linalg.inv(grad)
    state["inverse"] = inverse.clone()
    state["mean"].lerp_(inverse, 0.5)
    param.sub_(state["mean"] / state["step"], alpha=group["lr"])


def invertible(params, *, without=()):
    generator = torch.Generator().manual_seed(3)
    for number, param in enumerate(params):
        noise = torch.randn(param.shape, generator=generator, dtype=param.dtype)
        param.grad = None if number in without else torch.eye(len(param)) + 0.1 * noise


@ENGINES
@pytest.mark.parametrize("kind", [Ruled, Once])
@pytest.mark.parametrize("steps", [[], [(), ()], [(), (0, 3)]], ids=["first", "even", "uneven"])
def test_where_a_function_fails_each_parameter_has_been_stepped_in_full_or_not(
    engine, kind, steps, monkeypatch
):
    monkeypatch.setattr(staged, "CHUNK", 2 * 16)
    monkeypatch.setitem(members.PIECE, "cpu", 2 * 16)
    found, twin = (
        made(inverting, [(4, 4)] * 6, kind=kind, **options)
        for options in ({engine: True}, {"foreach": False})
    )
    for optimizer in (found, twin):
        params = optimizer.param_groups[0]["params"]
        for without in steps:
            invertible(params, without=without)
            optimizer.step()
        invertible(params, without=(2, 3, 4, 5) if optimizer is twin else ())
        if optimizer is found:
            params[3].grad = torch.zeros(4, 4, dtype=torch.float64)
            with pytest.raises(RuntimeError, match="singular"):
                optimizer.step()
        else:
            optimizer.step()
    if steps:  # else the twin has no state yet of those without a gradient
        assert_alike(found, twin, 1e-12)
    for optimizer in (found, twin):
        invertible(optimizer.param_groups[0]["params"])
        optimizer.step()
    assert_alike(found, twin, 1e-12)


def reading(state, group, grad, param):
    param.sub_(grad * (grad @ grad.mT).trace().item())


def drawing(state, group, grad, param):
    param.sub_(grad @ torch.randn(grad.shape[1], grad.shape[1], dtype=grad.dtype))


def writing_a_part(state, group, grad, param):
    product = grad @ grad.mT
    product.diagonal().add_(1)
    param.sub_(product @ grad)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (reading, "the value of a tensor"),
        (drawing, "draws a tensor at random"),
        (writing_a_part, "writing into a part or another view"),
    ],
)
@ENGINES
def test_what_cannot_be_cut_is_refused(rule, message, engine):
    with pytest.raises(RuntimeError, match=message):
        stepped(made(rule, **{engine: True}), 1)


def test_a_refused_rule_has_drawn_nothing():
    torch.manual_seed(0)
    with pytest.raises(RuntimeError, match="at random"):
        stepped(made(drawing, fused=True), 1)
    assert torch.initial_seed() == 0
    after = torch.rand(())
    torch.manual_seed(0)
    assert after == torch.rand(())


@ENGINES
def test_stacks_take_no_more_memory_than_some_parameters(engine, monkeypatch):
    monkeypatch.setattr(staged, "CHUNK", 4 * 64 * 64)
    monkeypatch.setitem(members.PIECE, "cpu", 4 * 64 * 64)
    optimizer = made(orthogonal, [(64, 64)] * 64, torch.float32, **{engine: True})
    held = []
    new = Stacks.new

    def watched(self, block):
        found = new(self, block)
        held.append(sum(stack.nbytes for stack in self._stacks.values()))
        return found

    monkeypatch.setattr(Stacks, "new", watched)
    stepped(optimizer, 2)
    assert max(held) <= 16 * 4 * 64 * 64 * 4


def powers(state, group, grad, param):
    """Take a power of a product, whose exponent is an option."""
    product = (grad @ grad.mT).matrix_power(group["exponent"]) / 10 ** group["exponent"]
    param.sub_(product @ grad * group["lr"])


@ENGINES
def test_whole_numbers_are_options_of_functions_and_not_arguments(engine):
    cut, loop = (
        made(powers, [(3, 3)] * 2, kind=Once, **options)
        for options in ({engine: True}, {"foreach": False})
    )
    for optimizer in (cut, loop):
        optimizer.param_groups[0]["exponent"] = 2
        stepped(optimizer, 3)
        optimizer.param_groups[0]["exponent"] = 1
        stepped(optimizer, 2)
    assert_alike(cut, loop, 1e-12)


def counted(state, group, grad, param):
    """Give a function a number that differs among parameters once one of them has missed a step."""
    state["step"] += 1
    product = grad @ grad.mT
    product = (product / state["step"]).cumsum(1)
    param.sub_(product @ grad * group["lr"] / 100)


@ENGINES
@pytest.mark.parametrize("kind", [Ruled, Once])
def test_each_parameter_has_its_own_numbers(kind, engine):
    cut, loop = (
        made(counted, [(6, 4)] * 6, kind=kind, **options)
        for options in ({engine: True}, {"foreach": False})
    )
    for optimizer in (cut, loop):
        stepped(optimizer, 6, without=lambda step, number: step in (1, 3) and number == step)
    assert_alike(cut, loop, 1e-12)


def forgetting(state, group, grad, param):
    """Drop the state of the first step in the third, and keep no other."""
    state["step"] += 1
    if state["step"] == 3:
        del state["left"]
    param.sub_(grad @ grad.mT @ grad, alpha=1e-2)


@ENGINES
def test_state_that_a_rule_drops_is_gone(engine):
    cut, loop = (made(forgetting, **o) for o in ({engine: True}, {"foreach": False}))
    for optimizer in (cut, loop):
        stepped(optimizer, 5)
    assert_alike(cut, loop, 1e-12)


def under_two_names(state, group, grad, param):
    state["one"] = state["other"] = grad @ grad.mT
    param.sub_(state["one"] @ grad)


def test_a_tensor_with_two_names_in_the_state_is_refused():
    with pytest.raises(RuntimeError, match="another name too"):
        stepped(made(under_two_names, [(6, 4)], fused=True), 1)


@ENGINES
def test_parameters_whose_states_have_other_shapes_are_stepped_apart(engine):
    ranks = iter([2, 3, 2, 3] * 2)

    def start(state, param):
        state["basis"] = torch.eye(param.shape[1], next(ranks), dtype=param.dtype)

    def projected(state, group, grad, param):
        state["basis"].lerp_(torch.linalg.qr(grad.mT @ (grad @ state["basis"]))[0], 0.1)
        param.sub_(grad @ state["basis"] @ state["basis"].mT, alpha=group["lr"])

    cut, loop = (
        made(projected, [(6, 4)] * 4, start=start, **options)
        for options in ({engine: True}, {"foreach": False})
    )
    for optimizer in (cut, loop):
        stepped(optimizer, 3)
    assert_alike(cut, loop, 1e-12)


@ENGINES
def test_stacks_do_not_wait_for_the_collector_of_garbage(engine):
    optimizer = made(orthogonal, SHAPES[:5], **{engine: True})
    stepped(optimizer, steps=2, without=lambda step, number: False)
    gc.collect()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        optimizer.step()
        gc.collect()
        tensors = [x for x in gc.garbage if isinstance(x, torch.Tensor)]
        left = [x.shape for x in tensors if not x.is_meta]  # those of a trace have no memory
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert left == []


def own_outer(state, group, grad, param):
    """Multiply a vector in the state with itself, before anything else."""
    values = state["values"]
    values.lerp_(grad.square().mean(1), 0.1)
    outer = values.unsqueeze(1) * values.unsqueeze(0)
    param.sub_(grad * outer, alpha=group["lr"])


@ENGINES
def test_a_vector_that_is_met_twice_is_seen_as_a_whole_tensor(engine):
    def start(state, param):
        state["values"] = torch.ones(len(param), dtype=param.dtype)

    cut, loop = (
        made(own_outer, [(4, 4)] * 3, start=start, **options)
        for options in ({engine: True}, {"foreach": False})
    )
    for optimizer in (cut, loop):
        stepped(optimizer, 3)
    assert_alike(cut, loop, 1e-12)


def noisy(state, group, grad, param):
    """Step along a product of random numbers, which are kept."""
    noise = torch.rand_like(param)
    state["noise"] = noise * 1.0
    param.copy_(noise @ noise.mT @ noise)


@ENGINES
def test_all_stages_draw_the_same_numbers_and_each_parameter_others(engine, monkeypatch):
    monkeypatch.setattr(staged, "CHUNK", 2 * 16)
    monkeypatch.setitem(members.PIECE, "cpu", 2 * 16)
    optimizer = made(noisy, [(4, 4)] * 5, start=lambda state, param: None, **{engine: True})
    params = stepped(optimizer, 2, without=lambda step, number: False)
    drawn = [optimizer.state[param]["noise"] for param in params]
    for param, noise in zip(params, drawn, strict=True):
        torch.testing.assert_close(param, noise @ noise.mT @ noise, rtol=1e-12, atol=1e-12)
    assert len({float(noise[0, 0]) for noise in drawn}) == len(params)


@ENGINES
@pytest.mark.parametrize(
    ("most", "counts"), [(5 * 24, [5, 5, 1]), (6 * 24 - 1, [5, 5, 1]), (20, [1] * 11), (999, [11])]
)
def test_so_many_parameters_are_stepped_at_a_time_as_have_so_many_numbers(
    engine, most, counts, monkeypatch
):
    monkeypatch.setattr(staged, "CHUNK", most)
    monkeypatch.setitem(members.PIECE, "cpu", most)
    found: list[tuple[int, slice]] = []
    begin = Stacks.__init__

    def noted(self, cohort, part, cut, indices, grads, at):
        found.append((len(indices), at))
        begin(self, cohort, part, cut, indices, grads, at)

    monkeypatch.setattr(Stacks, "__init__", noted)
    stepped(made(orthogonal, [(6, 4)] * 11, **{engine: True}), 1, without=lambda *_: False)
    assert [count for count, _ in found] == counts
    assert [at.start for _, at in found] == [sum(counts[:n]) for n in range(len(counts))]


def test_a_gpu_is_given_more_matrices_at_once():
    assert staged.chunk_on(torch.device("cpu")) == staged.CHUNK
    assert staged.chunk_on(torch.device("cuda")) > staged.CHUNK

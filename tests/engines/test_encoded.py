"""State in codes where functions of torch take part in a step: in stages, and on lists of tensors.

The loop decodes each tensor, runs the rule and encodes it again. The others leave the same codes.
"""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.engines.allocations import peak_of
from schuss.engines.foreach import members
from schuss.engines.kernels import staged
from schuss.storage.codecs import CODECS, Encoded, encoded
from tests.algorithms import OF_MATRICES, TRACED
from tests.conformance.strangers import Ruled
from tests.covers import in_turn
from tests.engines.kernels.test_codecs import compare, give_gradients

MATRICES = [(64, 65), (64, 65), (63, 67), (9, 7)]
"""Shapes with and without a rest behind the last block, and one that is too small to be encoded."""

OTHERS = [(70, 61), (64, 64), (4099,), (9,)]

STORAGES: dict[str, Any] = {
    "bf16": "bf16",
    "8bit": "8bit",
    "4bit": "4bit",
    "int8": {"*": "int8"},
}

ENGINES: dict[str, dict[str, bool]] = {
    "fused": {"fused": True},
    "foreach": {"foreach": True},
    "loop": {"foreach": False},
}

DECOMPOSED = ("left", "right")
"""The beginnings of the keys of state that is made of decompositions. These are not unique, and the
rest of the state is compared after each step instead."""


def parameters(shapes: Any = MATRICES, dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]


def made(name: str, storage: Any, engine: str, shapes: Any = MATRICES) -> Any:
    kept = STORAGES.get(storage)
    # A side is longer than the other, and so an eigenvalue is nothing but rounding.
    options = {"eps": 1.0} if name == "shampoo" else {}
    return schuss.create_optimizer(
        name, parameters(shapes), state_storage=kept, **ENGINES[engine], **options
    )


def step(optimizer: Any, number: int) -> None:
    give_gradients(optimizer.param_groups[0]["params"], number)
    torch.manual_seed(number)
    optimizer.step()


def assert_alike(ours: Any, theirs: Any) -> None:
    pairs = zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True)
    for mine, other in pairs:
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)
        state, expected = ours.state[mine], theirs.state[other]
        assert state.keys() == expected.keys()
        for key, value in state.items():
            if isinstance(value, Tensor) and not key.startswith(DECOMPOSED):
                compare(value, expected[key])


def go_on_alike(ours: Any, theirs: Any) -> None:
    """Give an optimizer the parameters and the state of another one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that state is encoded that a first step has made
        theirs.load_state_dict(ours.state_dict())
    pairs = zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True)
    with torch.no_grad():
        for mine, other in pairs:
            other.copy_(mine)


def trained_alike(ours: Any, theirs: Any, steps: int = 2) -> None:
    for number in range(steps):
        step(ours, number)
        step(theirs, number)
        assert_alike(ours, theirs)
        go_on_alike(ours, theirs)


OFTEN = ("muon", "normuon", "adamuon", "soap")


@pytest.mark.parametrize(("name", "storage"), in_turn(OFTEN, STORAGES))
def test_stages_of_kernels_leave_the_codes_of_the_loop(name, storage):
    trained_alike(made(name, storage, "fused"), made(name, storage, "loop"))


@pytest.mark.parametrize(
    ("name", "storage"),
    [*product(OFTEN, STORAGES), *in_turn([n for n in OF_MATRICES if n not in OFTEN], STORAGES)],
)
def test_stages_on_lists_leave_the_codes_of_the_loop(name, storage):
    trained_alike(made(name, storage, "foreach"), made(name, storage, "loop"))


ELEMENTWISE = [name for name in TRACED if name not in ("adahessian", "sophia", "sophiah")]


@pytest.mark.parametrize(("name", "storage"), in_turn(ELEMENTWISE, STORAGES))
def test_lists_leave_the_codes_of_the_loop(name, storage):
    trained_alike(made(name, storage, "foreach", OTHERS), made(name, storage, "loop", OTHERS))


def put_in_its_place(state: Any, group: Any, grad: Tensor, param: Tensor) -> None:
    """Put the result of a product in the place of the state, where others write into it."""
    state["exp_avg"] = (state["exp_avg"] @ grad.mT @ grad) * 0.5 + grad
    param.sub_(group["lr"] * state["exp_avg"] / state["exp_avg"].norm())


def given_to_functions(state: Any, group: Any, grad: Tensor, param: Tensor) -> None:
    """Give the state itself to functions of whole tensors, before and after it is written to."""
    product = state["exp_avg"] @ state["exp_avg"].mT
    state["exp_avg"].mul_(0.5).add_(grad)
    after = product @ state["exp_avg"].sort(dim=1).values
    param.sub_(group["lr"] * after.tanh())


@pytest.mark.parametrize("engine", ["fused", "foreach"])
@pytest.mark.parametrize("count", [1, 3], ids=["alone", "in a stack"])
@pytest.mark.parametrize("rule", [put_in_its_place, given_to_functions])
def test_rules_of_strangers_do_what_they_like_with_state_in_codes(rule, count, engine):
    def start(state: Any, param: Tensor) -> None:
        state["exp_avg"] = torch.zeros_like(param)

    ours, theirs = (
        Ruled(parameters([(64, 65)] * count), rule, start, 0.1, state_storage="8bit", **ENGINES[e])
        for e in (engine, "loop")
    )
    trained_alike(ours, theirs)
    [param, *_] = ours.param_groups[0]["params"]
    assert isinstance(ours.state[param]["exp_avg"], Encoded)


@pytest.mark.parametrize("after", ENGINES)
@pytest.mark.parametrize("before", ENGINES)
@pytest.mark.parametrize(("name", "storage"), [("muon", "8bit"), ("soap", "4bit")])
def test_a_checkpoint_of_one_engine_goes_on_on_another(name, storage, before, after):
    if before == after:
        return
    ours, theirs = made(name, storage, before), made(name, storage, after)
    step(ours, 0)
    go_on_alike(ours, theirs)
    pairs = zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True)
    for mine, other in pairs:
        for key, value in ours.state[mine].items():
            if isinstance(value, Encoded):
                assert torch.equal(value.codes, theirs.state[other][key].codes)
                assert torch.equal(value.scales, theirs.state[other][key].scales)
    trained_alike(ours, theirs, steps=1)


@pytest.mark.parametrize("engine", ["fused", "foreach"])
@pytest.mark.parametrize("name", ["muon", "soap", "adamw"])
def test_storage_may_change_between_steps(name, engine):
    ours, theirs = made(name, "", engine), made(name, "", "loop")
    kept = []
    for number, storage in enumerate((None, "8bit", "bf16", "4bit", None)):
        for optimizer in (ours, theirs):
            optimizer.param_groups[0]["state_storage"] = storage
            step(optimizer, number)
        assert_alike(ours, theirs)
        go_on_alike(ours, theirs)
        [param, *_] = ours.param_groups[0]["params"]
        value = next(v for v in ours.state[param].values() if isinstance(v, Tensor))
        kept.append(value.codec.name if isinstance(value, Encoded) else str(value.dtype)[6:])
    assert kept == ["float32", "int8", "bfloat16", "int4", "float32"]


@pytest.mark.parametrize("engine", ["fused", "foreach"])
@pytest.mark.parametrize("name", ["muon", "soap", "adamw"])
def test_a_step_decodes_a_few_parameters_at_a_time(name, engine, monkeypatch):
    monkeypatch.setattr(staged, "CHUNK", 1 << 14)
    monkeypatch.setitem(members.PIECE, "cpu", 1 << 14)
    peaks = []
    for count in (4, 12):
        optimizer = made(name, "8bit", engine, [(64, 128)] * count)
        for number in range(3):
            step(optimizer, number)
        peaks.append(peak_of(optimizer.step))
    assert peaks[1] <= peaks[0] + 4096


def test_nobody_is_told_of_a_slower_engine():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in OFTEN:
            optimizer = schuss.create_optimizer(name, parameters(), state_storage="8bit")
            step(optimizer, 0)
            assert {each.engine for each in optimizer.explain().cohorts} == {"fused"}


@pytest.mark.parametrize("codec", CODECS.values(), ids=str)
@pytest.mark.parametrize("count", [1 << 17, (1 << 17) + 1, (1 << 18) + 77])
def test_a_large_tensor_is_encoded_in_pieces_as_it_would_be_at_once(codec, count):
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(count, generator=generator) * torch.logspace(-5, 1, count)
    kept = encoded(codec, numbers.double())
    codes, scales = codec.encoded(numbers)
    assert torch.equal(kept.codes, codes)
    assert torch.equal(kept.scales, scales)
    assert kept.decoded().dtype is torch.float64
    assert torch.equal(kept.decoded(), codec.decoded(codes, scales, numbers.shape).double())


def emptied(kept: Encoded, part: str) -> None:
    getattr(kept, part).untyped_storage().resize_(0)


def expanded(kept: Encoded, part: str) -> None:
    tensor = getattr(kept, part)
    tensor.data = tensor.new_zeros(()).expand_as(tensor)


def shortened(kept: Encoded, part: str) -> None:
    tensor = getattr(kept, part)
    tensor.data = tensor.reshape(-1)[:3].clone()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("part", ["codes", "scales"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (emptied, "the state 'exp_avg' of .* has no memory"),
        (expanded, "the state 'exp_avg' of .* is expanded"),
        (shortened, r"the state 'exp_avg' of .* has .* shape \(3,\), where int8 has contiguous"),
    ],
    ids=["emptied", "expanded", "shortened"],
)
def test_memory_of_codes_is_looked_at_as_any_other(change, message, part, engine):
    (param,) = params = parameters(((64, 65),))
    optimizer = schuss.AdamW(params, state_storage="8bit", **ENGINES[engine])
    for number in range(4):
        step(optimizer, number)
    kept = optimizer.state[param]["exp_avg"]
    for number in range(3):  # which remember what they have looked at
        step(optimizer, number)
    change(kept, part)
    before = param.detach().clone()
    with pytest.raises(RuntimeError, match=message):
        step(optimizer, 4)
    assert torch.equal(param, before)


def test_codes_and_scales_remain_the_same_tensors():
    kept = encoded(CODECS["int8"], torch.ones(3, 4))
    for part in ("codes", "scales"):
        with pytest.raises(AttributeError):
            setattr(kept, part, torch.ones(3))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_gradient_in_the_memory_of_codes_is_read_before_they_change(engine):
    ends = []
    for is_copied in (True, False):
        first, second = params = parameters(((4096,), (2048,)))
        optimizer = schuss.AdamW(params, lr=0.1, state_storage="8bit", **ENGINES[engine])
        step(optimizer, 0)
        give_gradients(params, 1)
        grad = optimizer.state[first]["exp_avg"].codes.view(torch.float16)
        second.grad_dtype = None
        second.grad = grad.clone() if is_copied else grad
        optimizer.step()
        ends.append(second.detach().clone())
    torch.testing.assert_close(*ends, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", ["int8", "int4", "dynamic8", "fp8_e4m3", "flash_int8"])
def test_codes_are_what_they_were_if_a_step_on_the_loop_raises(name):
    first, second = params = parameters(((64, 65), (64, 66)))
    options: Any = {"state_storage": {"*": name}, "foreach": False}
    optimizer = schuss.SGD(params, lr=0.1, momentum=0.9, **options)
    for number in range(2):
        step(optimizer, number)
    kept = optimizer.state[first]["momentum_buffer"]
    before = kept.codes.clone(), kept.scales.clone()
    optimizer.state[second]["momentum_buffer"] = torch.ones(3, 7)
    with pytest.raises(RuntimeError):
        step(optimizer, 3)
    now = optimizer.state[first]["momentum_buffer"]
    assert torch.equal(now.codes, before[0])
    assert torch.equal(now.scales, before[1])


@pytest.mark.parametrize("engine", ENGINES)
def test_codes_that_are_read_in_another_precision_are_read_in_that_of_the_rule(engine):
    ends = []
    for dtype in (torch.float16, torch.float32):
        (param,) = params = parameters(((4096,),))
        optimizer = schuss.AdamW(params, lr=0.1, state_storage="8bit", **ENGINES[engine])
        step(optimizer, 0)
        kept = optimizer.state[param]["exp_avg_sq"]
        optimizer.state[param]["exp_avg_sq"] = kept.copied(kept.device, dtype)
        step(optimizer, 1)
        assert optimizer.state[param]["exp_avg_sq"].dtype is torch.float32
        ends.append(param.detach().clone())
    assert torch.equal(*ends)

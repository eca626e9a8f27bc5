"""A group says in which precision state is kept: it is, also if it says so late."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.storage.codecs import CODECS, Encoded
from schuss.storage.codecs.policy import PRESETS, SMALLEST


def made(storage: Any, *, seed: int = 0, **options: Any) -> tuple[list[nn.Parameter], Any]:
    generator = torch.Generator().manual_seed(seed)
    sizes = ((64, 64), (SMALLEST - 1,))
    params = [nn.Parameter(torch.randn(size, generator=generator)) for size in sizes]
    return params, schuss.AdamW(params, lr=0.01, state_storage=storage, **options)


def step(params: list[nn.Parameter], optimizer: Any, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)
    optimizer.step()


def kept(value: Tensor) -> str:
    return value.codec.name if isinstance(value, Encoded) else str(value.dtype)[6:]


def forms(optimizer: Any, param: nn.Parameter) -> dict[str, str]:
    return {k: kept(v) for k, v in optimizer.state[param].items() if isinstance(v, Tensor)}


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (None, ("float32", "float32")),
        ("bf16", ("bfloat16", "bfloat16")),
        ("8bit", ("int8", "uint8")),
        ({"exp_avg": "int8"}, ("int8", "float32")),
        ({"exp_avg": "fp16", "*": "uint8"}, ("float16", "uint8")),
        ({}, ("float32", "float32")),
    ],
    ids=str,
)
def test_state_is_kept_as_the_group_says_unless_it_is_small(storage, expected):
    params, optimizer = made(storage)
    step(params, optimizer)
    assert tuple(forms(optimizer, params[0]).values()) == expected
    assert set(forms(optimizer, params[1]).values()) == {"float32"}


@pytest.mark.parametrize("engine", [{"fused": True}, {"foreach": False}], ids=["fused", "loop"])
def test_the_choice_may_change_between_steps(engine):
    params, optimizer = made(None, **engine)
    step(params, optimizer)
    before = optimizer.state[params[0]]["exp_avg_sq"].clone()
    for storage, expected in (("8bit", "uint8"), ("bf16", "bfloat16"), (None, "float32")):
        optimizer.param_groups[0]["state_storage"] = storage
        step(params, optimizer)
        assert forms(optimizer, params[0])["exp_avg_sq"] == expected
    after = optimizer.state[params[0]]["exp_avg_sq"]
    assert 0.9 < (after.sum() / before.sum()) < 5


def test_groups_keep_their_state_each_in_their_way():
    params = [nn.Parameter(torch.randn(SMALLEST)) for _ in range(2)]
    groups = [{"params": [params[0]], "state_storage": "8bit"}, {"params": [params[1]]}]
    optimizer = schuss.AdamW(groups, lr=0.01)
    step(params, optimizer)
    assert [forms(optimizer, p)["exp_avg"] for p in params] == ["int8", "float32"]


def test_state_is_read_as_numbers_and_what_is_put_there_is_encoded():
    params, optimizer = made("8bit", fused=True)
    step(params, optimizer)
    state = optimizer.state[params[0]]
    grad = params[0].grad
    assert grad is not None
    assert (state["exp_avg"] - 0.1 * grad).abs().max() < 0.01
    state["exp_avg"] = torch.full((64, 64), 2.0)
    state["exp_avg_sq"].fill_(4.0)
    step(params, optimizer)
    found = optimizer.state[params[0]]
    assert isinstance(found["exp_avg"], Encoded)
    assert (found["exp_avg"] - (1.8 + 0.1 * grad)).abs().max() < 0.05
    assert (found["exp_avg_sq"] - 4).abs().max() < 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("storage", ["8bit", "bf16", {"*": "float32"}], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"master_weights": True}, {"master_weights": 24}],
    ids=["plain", "master", "24 bits"],
)
def test_parameters_of_every_precision_take_every_storage(dtype, storage, options):
    found = []
    for engine in ({}, {"foreach": True}, {"foreach": False}):
        params, _ = made(None)
        params = [nn.Parameter(param.detach().to(dtype)) for param in params]
        optimizer = schuss.AdamW(params, lr=0.01, state_storage=storage, **options, **engine)
        for seed in range(3):
            step(params, optimizer, seed)
        found.append(params[0].detach().double())
    for each in found[:2]:
        assert (each - found[2]).abs().max() < 0.02


@pytest.mark.parametrize("storage", ["8bit", *({"*": name} for name in CODECS)], ids=str)
def test_complex_parameters_are_kept_as_they_are(storage):
    param = nn.Parameter(torch.randn(SMALLEST, dtype=torch.complex64))
    optimizer = schuss.AdamW([param], lr=0.01, state_storage=storage)
    param.grad = torch.randn(SMALLEST, dtype=torch.complex64)
    optimizer.step()
    assert forms(optimizer, param)["exp_avg"] == "complex64"


def test_no_codec_can_be_named_for_the_state_of_a_complex_parameter():
    params = [nn.Parameter(torch.ones(3, dtype=dtype)) for dtype in (None, torch.complex64)]
    with pytest.raises(
        ValueError, match=r"'int8'; .* shape \(3,\) is torch.complex64, which stays"
    ):
        schuss.AdamW(params, state_storage={"exp_avg_sq": "bf16", "exp_avg": "int8"})
    schuss.AdamW(params, state_storage={"exp_avg": "bf16"})
    schuss.AdamW(
        [{"params": params[:1], "state_storage": {"exp_avg": "int8"}}, {"params": params[1:]}]
    )


@pytest.mark.parametrize(
    ("storage", "error", "words"),
    [
        ("9bit", ValueError, "'9bit'; state_storage must be None, a preset"),
        ({"exp_avg": "int9"}, ValueError, r"'int9'; state_storage\['exp_avg'\] must be one of"),
        ({"exp_avg": 8}, TypeError, "must be one of 'int8'"),
        (8, TypeError, "state_storage must be None, a preset"),
        ({1: "int8"}, TypeError, "state_storage must be None, a preset"),
    ],
    ids=str,
)
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(storage, error, words):
    with pytest.raises(error, match=words):
        made(storage)


def test_an_unknown_codec_is_answered_with_all_that_there_are():
    with pytest.raises(ValueError, match="'fp8'") as raised:
        made({"exp_avg": "fp8"})
    assert all(repr(name) in str(raised.value) for name in (*CODECS, "bf16", "fp16", "float32"))


@pytest.mark.parametrize(
    ("key", "name", "words"),
    [
        ("exp_avg_sq", "fp8_e4m3", "one of 'uint8', .*'fp8_e5m2', .*an average of squares"),
        ("exp_avg_sq", "int8", "one of 'uint8', "),
        ("exp_avg", "uint8", "one of 'int8', .*'fp8_e5m2', .*an average of gradients"),
        ("momentum_buffer", "flash_uint8", "an average of gradients"),
    ],
)
def test_a_codec_for_other_state_is_refused_with_those_for_this(key, name, words):
    with pytest.raises(ValueError, match=words):
        made({key: name})


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_for_all_other_keys_keeps_those_that_it_is_for(name):
    params, optimizer = made({"*": name})
    step(params, optimizer)
    codec = CODECS[name]
    expected = (name if fits else "float32" for fits in (codec.is_signed, codec.is_for_squares))
    assert tuple(forms(optimizer, params[0]).values()) == tuple(expected)


@pytest.mark.parametrize("name", [name for name, codec in CODECS.items() if codec.is_for_squares])
def test_a_step_from_a_small_square_is_not_too_large_but_with_the_codec_of_flashoptim(name):
    param = nn.Parameter(torch.zeros(SMALLEST))
    optimizer = schuss.AdamW([param], lr=1.0, state_storage={"exp_avg_sq": name})
    largest = 0.0
    for number in range(6):
        before = param.detach().clone()
        param.grad = torch.ones(SMALLEST)
        param.grad[::32] = 1e-3 if number < 3 else 0.0
        optimizer.step()
        largest = max(largest, float((param.detach() - before)[::32].abs().max()))
    assert largest > 1e4 if name == "flash_uint8" else largest < 1.2


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
def test_a_key_that_the_state_has_not_is_refused_with_those_that_it_has(late):
    words = "no tensor 'exp_avg_squared' like its parameter, but these: 'exp_avg', 'exp_avg_sq' "
    storage = {"exp_avg_squared": "uint8", "*": "bf16"}
    if not late:
        with pytest.raises(ValueError, match=words):
            made(storage)
        return
    params, optimizer = made(None)
    step(params, optimizer)
    before = params[0].detach().clone()
    optimizer.param_groups[0]["state_storage"] = storage
    with pytest.raises(ValueError, match=words):
        step(params, optimizer)
    assert torch.equal(params[0], before)


def test_keys_that_come_with_an_option_or_in_a_step_are_known():
    params, _ = made(None)
    schuss.Adam(params, amsgrad=True, state_storage={"max_exp_avg_sq": "bf16"})
    schuss.SGD(params, lr=0.1, momentum=0.9, state_storage={"momentum_buffer": "int8"})
    with pytest.raises(ValueError, match="no tensor 'momentum_buffer' like its parameter.*none"):
        schuss.SGD(params, lr=0.1, state_storage={"momentum_buffer": "int8"})
    schuss.AdaHessian(params, state_storage={"exp_avg": "int8"})


@pytest.mark.parametrize("storage", [*PRESETS, *({"*": name} for name in CODECS)], ids=str)
def test_a_checkpoint_holds_plain_tensors_and_goes_on_bit_for_bit(storage):
    params, optimizer = made(storage)
    step(params, optimizer)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    others, resumed = made(storage, seed=5)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        for param, other in zip(params, others, strict=True):
            other.copy_(param)
    for seed in (2, 3):
        step(params, optimizer, seed)
        step(others, resumed, seed)
    for param, other in zip(params, others, strict=True):
        assert torch.equal(param, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_codes_of_what_a_step_makes_are_not_made_anew_when_they_are_loaded(dtype):
    # Of `dynamic8` a block shrinks each time, if its largest number is negative.
    param = nn.Parameter(torch.zeros(5000, dtype=dtype))
    optimizers = [
        schuss.SGD([param], lr=0.1, momentum=0.9, state_storage={"*": "dynamic8"}) for _ in range(2)
    ]
    for _ in range(2):
        param.grad = -torch.ones_like(param)
        optimizers[0].step()
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    mine, other = (optimizer.state[param]["momentum_buffer"] for optimizer in optimizers)
    assert torch.equal(mine.codes, other.codes)
    assert torch.equal(mine.scales, other.scales)
    assert mine.dtype is other.dtype


@pytest.mark.parametrize("storage", ["8bit", "4bit"])
def test_scales_and_packed_codes_may_lie_in_a_row_in_a_checkpoint(storage):
    params = [nn.Parameter(torch.randn(40, 128)) for _ in range(2)]
    optimizers = [schuss.AdamW([param], state_storage=storage) for param in params]
    step(params[:1], optimizers[0])
    saved = optimizers[0].state_dict()
    for key, tensor in saved["state"][0].items():
        if key.endswith("scales"):
            assert len(tensor) == 40
        if key.endswith("scales") or (storage == "4bit" and key.endswith("codes")):
            saved["state"][0][key] = tensor.flatten()
    optimizers[1].load_state_dict(saved)
    mine, other = (o.state[p]["exp_avg"] for o, p in zip(optimizers, params, strict=True))
    assert torch.equal(mine.codes, other.codes)
    assert torch.equal(mine.scales, other.scales)


@pytest.mark.parametrize("before", [None, "bf16", "8bit"])
@pytest.mark.parametrize("after", [None, "bf16", "8bit"])
def test_a_checkpoint_is_read_into_the_precision_of_the_optimizer(before, after):
    params, optimizer = made(before)
    step(params, optimizer)
    others, resumed = made(after)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        resumed.load_state_dict(optimizer.state_dict())
    names = {None: "float32", "bf16": "bfloat16", "8bit": "int8"}
    told = f"exp_avg of 1 encoded: {names[before]} as {names[after]}, 0.00"
    is_told = any(told in str(each.message) and each.filename == __file__ for each in said)
    assert is_told == (after is not None and before != after)
    assert resumed.param_groups[0]["state_storage"] == after
    mine, other = optimizer.state[params[0]]["exp_avg"], resumed.state[others[0]]["exp_avg"]
    assert (mine - other).abs().max() < 0.01
    step(others, resumed)
    assert forms(resumed, others[0])["exp_avg"] == names[after]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda state: state.pop("exp_avg.int8.scales"), "lacks 'exp_avg.int8.scales'"),
        (lambda state: state.pop("exp_avg.int8.codes"), "lacks 'exp_avg.int8.codes'"),
        (
            lambda state: state.update({"exp_avg.int8.codes": torch.zeros(64, 64)}),
            "torch.float32 of shape \\(64, 64\\); it must be torch.int8",
        ),
        (
            lambda state: state.update({"exp_avg.int8.scales": torch.zeros(3).bfloat16()}),
            "of shape \\(3,\\); it must be torch.bfloat16 of shape \\(64, 2\\)",
        ),
        (lambda state: state.update({"exp_avg.int8.codes": "x"}), "is 'x'"),
        (
            lambda state: state.update({"exp_avg": torch.zeros(64, 128)}),
            "'exp_avg.int8.codes', and 'exp_avg' in another form too; leave one of them out",
        ),
    ],
    ids=["no scales", "no codes", "no codes but numbers", "few scales", "text", "twice"],
)
def test_a_damaged_checkpoint_is_refused_and_nothing_changed(damage, words):
    params, optimizer = made("8bit")
    step(params, optimizer)
    saved = optimizer.state_dict()
    damage(saved["state"][0])
    others, resumed = made("8bit")
    step(others, resumed, 7)
    before = resumed.state[others[0]]["exp_avg"].clone()
    with pytest.raises(ValueError, match=words):
        resumed.load_state_dict(saved)
    assert torch.equal(resumed.state[others[0]]["exp_avg"].decoded(), before.decoded())


def test_no_tensor_is_shared_with_the_donor_of_a_checkpoint():
    params, optimizer = made("8bit")
    step(params, optimizer)
    others, resumed = made("8bit")
    resumed.load_state_dict(optimizer.state_dict())
    before = optimizer.state[params[0]]["exp_avg"].decoded()
    step(others, resumed, 9)
    assert torch.equal(optimizer.state[params[0]]["exp_avg"].decoded(), before)


def test_explain_counts_the_bytes_of_codes():
    params, optimizer = made("8bit", fused=True)
    step(params, optimizer)
    [large] = [each for each in optimizer.explain().cohorts if each.numbers == 64 * 64]
    assert large.bytes_per_number == pytest.approx(4 + 4 + 4 + 4 * (1 + 2 / 32))


@pytest.mark.filterwarnings("ignore")  # of torch's own, about its compiler
def test_a_step_under_torch_compile_is_the_same():
    torch.compiler.reset()
    params, optimizer = made("8bit", foreach=False)
    others, compiled = made("8bit", foreach=False)
    take = torch.compile(compiled.step)  # inductor: other backends leave no codes behind
    for seed in range(3):
        step(params, optimizer, seed)
        generator = torch.Generator().manual_seed(seed)
        for param in others:
            param.grad = torch.randn(param.shape, generator=generator)
        take()
    assert (params[0] - others[0]).abs().max() < 1e-6


def test_codes_and_scales_that_a_loader_has_put_into_the_state_are_one_tensor_again():
    # As ZeroRedundancyOptimizer does: it writes what was saved into the state itself.
    ends = []
    for by_hand in (False, True):
        weight = nn.Parameter(torch.linspace(-1, 1, 4096).reshape(64, 64))
        optimizer = schuss.AdamW([weight], state_storage="8bit")
        for number in range(4):
            if number == 2 and by_hand:
                optimizer.state[weight] = optimizer.state_dict()["state"][0]
                assert "exp_avg.int8.codes" in optimizer.state[weight]
            weight.grad = weight.detach().mul(number + 1).sin()
            optimizer.step()
        assert isinstance(optimizer.state[weight]["exp_avg"], Encoded)
        ends.append(weight.detach())
    assert torch.equal(*ends)

from __future__ import annotations

import copy
import io
import itertools
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.storage.master import KEY, KEYS, REMAINDER, Master, set_weight, weight_of
from tests.algorithms import EVERY, TRACED, fitting, on
from tests.conformance.trajectories import ON
from tests.covers import combinations, in_turn

HALF = [torch.float16, torch.bfloat16]
CURES: dict[str, dict[str, Any]] = {
    "exact": {"master_weights": True},
    "24 bits": {"master_weights": 24},
    "kahan": {"rounding": "kahan"},
    "stochastic": {"rounding": "stochastic"},
}
PLAIN = {"master_weights": False, "rounding": None}


def grads(dtype: torch.dtype, steps: int = 20) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(50, generator=generator).to(dtype) for _ in range(steps)]


def start(dtype: torch.dtype, of: str = "sgd") -> nn.Parameter:
    numbers = torch.randn(50, generator=torch.Generator().manual_seed(1))
    return nn.Parameter(fitting(of, numbers).to(dtype))


def train(optimizer: torch.optim.Optimizer, param: nn.Parameter, along: list[Tensor]) -> None:
    for grad in along:
        param.grad = grad.to(param.dtype).view_as(param)
        optimizer.step()


def weight(optimizer: schuss.Optimizer, param: nn.Parameter) -> Tensor:
    return weight_of(optimizer.state[param], param.detach())


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_the_master_takes_the_path_of_a_float32_parameter(name, dtype):
    low, full = start(dtype, name), nn.Parameter(start(dtype, name).detach().float())
    create = partial(schuss.create_optimizer, name, lr=1e-3, weight_decay=0.1, foreach=False)
    ours = create([low], master_weights=True)
    storage = low.data_ptr()
    train(ours, low, grads(dtype))
    train(create([full]), full, grads(dtype))
    assert torch.equal(weight(ours, low), full)
    half_an_ulp = torch.finfo(dtype).eps / 2
    torch.testing.assert_close(low.float(), full, rtol=half_an_ulp, atol=2.0**-25)
    assert low.data_ptr() == storage
    buffers = [v for k, v in ours.state[low].items() if isinstance(v, Tensor) and k not in KEYS]
    assert all(buffer.dtype is torch.float32 for buffer in buffers)


CURED = combinations(CURES, ON)


@pytest.mark.parametrize(("cure", "engine"), CURED)
def test_weights_of_one_move_in_steps_that_bfloat16_cannot_hold(cure, engine):
    """The smallest step down from 1 in bfloat16 is 0.0039, and AdamW's is 0.001."""

    def moved(dtype: torch.dtype = torch.bfloat16, **options: Any) -> Tensor:
        param = nn.Parameter(torch.ones(4096, dtype=dtype))
        optimizer = schuss.AdamW([param], lr=1e-3, weight_decay=0.0, **options, **ON[engine])
        train(optimizer, param, [torch.ones(4096)] * 100)
        return weight(optimizer, param)

    assert torch.equal(moved(), torch.ones(4096))
    found, full = moved(**CURES[cure]), moved(torch.float32)
    assert (full - 0.9).abs().max().item() < 1e-5
    # A number of 24 bits below 1 may be off by 2**-17, and Kahan's two of 16 by 2**-18. Random
    # rounding makes a step of 2**-8 in one of four: the deviation of 100 is 0.017, which is
    # 100 ** 0.5 * 2**-8 * (1/4 * 3/4) ** 0.5, and that of the mean of 4096 weights 64 times less.
    if cure == "stochastic":
        assert found.mean().item() == pytest.approx(0.9, abs=5 * 0.017 / 64)
        assert 0.01 < found.std().item() < 0.025
        return
    off = {"exact": 0.0, "24 bits": 100 * 2.0**-17, "kahan": 100 * 2.0**-18}[cure]
    assert (found - full).abs().max().item() <= off


def path(cure: str, dtype: torch.dtype, engine: str, steps: int = 12) -> dict[str, Tensor]:
    """Return the weights, and what is kept beside them, after steps that no engine rounds.

    The rule multiplies by a power of two, so its product and its difference are exact in as many
    digits as there are, and a product in one rounding with its difference is the same.
    """
    shapes = [(7, 9), (33,), (1,), (), (2, 3, 4)]
    generator = torch.Generator().manual_seed(2)
    params = [nn.Parameter(torch.randn(s, generator=generator).to(dtype)) for s in shapes]
    params.append(nn.Parameter(torch.randn(2, 3, 4, 5, generator=generator).to(dtype)))
    params[-1].data = params[-1].data.contiguous(memory_format=torch.channels_last)
    optimizer = schuss.SGD(params, lr=2.0**-7, **CURES[cure], **ON[engine])
    for number in range(steps):
        for param in params:
            param.grad = torch.randn(param.shape, generator=generator).to(dtype)
            if number % 3 == 0 and param.dim() == 1:
                param.grad = None  # so that the counts of steps differ
        optimizer.step()
    kept = {f"{n}.{k}": v for n, p in enumerate(params) for k, v in optimizer.state[p].items()}
    weights = {str(n): param.detach() for n, param in enumerate(params)}
    return {k: v if isinstance(v, Tensor) else torch.tensor(v) for k, v in (weights | kept).items()}


@pytest.mark.parametrize("cure", CURES)
@pytest.mark.parametrize("engine", [engine for engine in ON if engine != "loop"])
def test_engines_keep_the_same_bits(cure, engine):
    found, expected = (path(cure, torch.bfloat16, each) for each in (engine, "loop"))
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype is tensor.dtype
        assert torch.equal(found[key], tensor), key


def test_random_bits_do_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            param = nn.Parameter(torch.ones(2**17 + 5, dtype=torch.bfloat16))
            optimizer = schuss.SGD([param], lr=2.0**-10, rounding="stochastic", fused=True)
            train(optimizer, param, [torch.ones_like(param)] * 2)
            found.append(param.detach().clone())
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)
    assert len(found[0].unique()) == 3


def test_each_parameter_and_each_step_has_random_bits_of_its_own():
    params = [nn.Parameter(torch.ones(1000, dtype=torch.bfloat16)) for _ in range(3)]
    optimizer = schuss.SGD(params, lr=2.0**-10, rounding="stochastic")
    seen = []
    for _ in range(3):
        for param in params:
            param.data.fill_(1.0)
            param.grad = torch.ones_like(param)
        optimizer.step()
        seen += [tuple(param.tolist()) for param in params]
    assert len(set(seen)) == 9
    assert [optimizer.state[p]["rounding_stream"] for p in params] == [0, 1, 2]


SLOW = {"adadelta", "dadaptadam", "dadaptlion", "dadaptsgd", "dog", "ldog", "prodigy"}
"""Optimizers that look for their learning rate, from 1e-6 on, and have not found it in 20 steps.
Adadelta begins with steps as small."""


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize(
    ("name", "how"), in_turn(EVERY, itertools.product(CURES, ON.values())), ids=str
)
def test_every_optimizer_trains_with_every_cure_and_goes_on_from_a_checkpoint(name, how):
    cure, engine = how

    def create(params):
        options = {"lr": 1e-3, **CURES[cure], **on(engine, name)}
        return schuss.create_optimizer(name, params, **options)

    dtype = torch.bfloat16
    through, interrupted = start(dtype, name), start(dtype, name)
    train(create([through]), through, grads(dtype))
    first = create([interrupted])
    train(first, interrupted, grads(dtype)[:9])
    buffer = io.BytesIO()
    torch.save((first.state_dict(), interrupted.detach()), buffer)
    buffer.seek(0)
    state_dict, weights = torch.load(buffer)
    resumed = nn.Parameter(weights)
    second = create([resumed])
    second.load_state_dict(state_dict)
    assert list(second.state[resumed]) == list(first.state[interrupted])
    train(second, resumed, grads(dtype)[9:])
    assert torch.equal(resumed, through)
    if name not in SLOW:
        assert (weight(second, resumed) != start(dtype, name)).any()


@pytest.mark.parametrize("name", TRACED)
@pytest.mark.parametrize("cure", CURES)
def test_a_cure_stays_near_the_path_of_a_float32_parameter(cure, name):
    low, full = start(torch.bfloat16, name), nn.Parameter(start(torch.bfloat16, name).float().data)
    options = {"lr": 1e-3, "foreach": False}
    along = grads(torch.bfloat16, 10)
    ours = schuss.create_optimizer(name, [low], **options, **CURES[cure])
    train(ours, low, along)
    train(schuss.create_optimizer(name, [full], **options), full, along)
    # Ten roundings in a row: of the last place of bfloat16 at random, or of 2**-16.
    rounding = 10 * (2.0**-8 if cure == "stochastic" else 2.0**-16)
    # A weight that differs changes later updates, in which signs and quotients amplify it.
    slack = 1.0 if cure == "exact" else 4.0
    off = (weight(ours, low) - full).norm() / full.norm()
    assert off.item() <= (slack * rounding if cure != "exact" else 0.0)


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("cure", ["exact", "24 bits"])
def test_zeros_that_are_written_stay_zero(dtype, cure):
    """Pruning: the sign of what remains beside a zero is not added to it."""
    param = start(dtype)
    optimizer = schuss.SGD([param], lr=2**-12, **CURES[cure])
    train(optimizer, param, grads(dtype, steps=3))
    param.data[::2] = 0.0  # which does not count as an in-place change
    param.data[1::4] = -0.0
    train(optimizer, param, [torch.zeros(50)])
    written = torch.cat([param[::2], param[1::4]])
    assert written.abs().max().item() <= 2.0**-132  # half of the smallest step of bfloat16
    assert not weight(optimizer, param).isnan().any()


def test_weights_written_from_outside_win_over_a_master_in_float32():
    param = start(torch.float16)
    optimizer = schuss.SGD([param], lr=2**-14, master_weights=True)
    train(optimizer, param, grads(torch.float16, steps=3))
    untouched = optimizer.state[param][KEY][1:].clone()
    param.data[0] = 0.0
    train(optimizer, param, [torch.zeros(50)])
    assert param[0] == 0.0
    assert torch.equal(optimizer.state[param][KEY][1:], untouched)


@pytest.mark.parametrize("cure", ["exact", "24 bits", "kahan"])
def test_weights_written_from_outside_are_off_by_less_than_one_last_place(cure):
    param = start(torch.bfloat16)
    optimizer = schuss.SGD([param], lr=2**-12, **CURES[cure])
    train(optimizer, param, grads(torch.bfloat16, steps=3))
    written = torch.linspace(1.0, 1.9, 50).bfloat16()
    param.data.copy_(written)
    # A remainder is in units of the last place; what Kahan has lost is of the size of the old one.
    off = (weight(optimizer, param) - written.float()).abs().max().item()
    assert 0 < off <= 2.0**-7


@pytest.mark.parametrize("how", ON.values(), ids=str)
def test_a_zero_of_the_other_sign_from_outside_wins_over_the_master(how):
    dtype = torch.float16
    param = nn.Parameter(torch.full((3,), 1.0, dtype=dtype))
    optimizer = schuss.SGD([param], lr=1.0, master_weights=True, **how)
    train(optimizer, param, [torch.zeros(3)])
    # All three masters round to -0; the first and the last parameter are -0, and the second is 0.
    optimizer.state[param][KEY].fill_(-(2.0**-140))
    param.data.copy_(torch.tensor([-0.0, 0.0, -0.0]))
    train(optimizer, param, [torch.zeros(3)])
    assert optimizer.state[param][KEY].tolist() == [-(2.0**-140), 0.0, -(2.0**-140)]
    assert param.signbit().tolist() == [True, False, True]


@pytest.mark.parametrize("cure", CURES)
def test_a_parameter_in_full_precision_has_nothing_beside_it(cure):
    param, twin = start(torch.float32), start(torch.float32)
    optimizer = schuss.Adam([param], **CURES[cure])
    train(optimizer, param, grads(torch.float32, steps=2))
    train(schuss.Adam([twin]), twin, grads(torch.float32, steps=2))
    assert not set(KEYS) & set(optimizer.state[param])
    assert torch.equal(param, twin)


def test_each_group_has_its_own_way():
    params = [start(torch.bfloat16) for _ in range(3)]
    groups = [
        {"params": params[:1], "master_weights": True},
        {"params": params[1:2], "rounding": "kahan"},
        {"params": params[2:]},
    ]
    optimizer = schuss.Adam(groups)
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer.step()
    found = [set(KEYS) & set(optimizer.state[param]) for param in params]
    assert found == [{REMAINDER}, {"kahan_compensation"}, set()]


def test_two_ways_at_once_are_refused():
    params = [start(torch.bfloat16)]
    for way in (True, 24):
        with pytest.raises(ValueError, match=f"master_weights={way} keeps all that rounding='kah"):
            schuss.SGD(params, master_weights=way, rounding="kahan")
    optimizer = schuss.SGD(params, rounding="kahan")
    optimizer.param_groups[0]["master_weights"] = True
    params[0].grad = torch.ones_like(params[0])
    with pytest.raises(ValueError, match="leave one of them out"):
        optimizer.step()


def test_float16_is_not_rounded_in_another_way():
    with pytest.raises(
        ValueError, match="rounding='stochastic' is for bfloat16, and a parameter i"
    ):
        schuss.SGD([start(torch.float16)], rounding="stochastic")


@pytest.mark.parametrize("wrong", [16, 1, 24.0, "24"])
def test_other_numbers_of_bits_are_refused(wrong):
    with pytest.raises((TypeError, ValueError), match="master_weights must be True, False or 24"):
        schuss.SGD([start(torch.bfloat16)], master_weights=wrong)


def test_the_scale_of_the_loss_is_divided_out_in_float32():
    """1e-7 times 2**-10 is zero in float16."""
    param = nn.Parameter(torch.zeros(1, dtype=torch.float16))
    optimizer = schuss.SGD([param], lr=2.0**20, master_weights=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((param.float() * 1e-7).sum()).backward()
    scaler.step(optimizer)
    # 1e-7 * 1024 in float16 is 1.0240e-4 to three digits
    assert optimizer.state[param][KEY].item() == pytest.approx(-0.1048576, rel=1e-3)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_a_checkpoint_without_masters_starts_them_at_the_parameters(dtype):
    param = start(dtype)
    plain = schuss.Adam([param])
    train(plain, param, grads(dtype, steps=3))
    mastered = schuss.Adam([param], master_weights=True)
    state_dict = plain.state_dict()
    state_dict["param_groups"][0]["master_weights"] = True
    mastered.load_state_dict(state_dict)
    assert torch.equal(weight(mastered, param), param.float())
    assert mastered.state[param]["exp_avg"].dtype is torch.float32


def older_checkpoint(masters: Tensor, like: schuss.Optimizer) -> dict[str, Any]:
    """Return a checkpoint with the master weights of a bfloat16 parameter in float32."""
    saved = copy.deepcopy(like.state_dict())
    saved["state"][0].pop(REMAINDER)
    saved["state"][0][KEY] = masters
    saved["param_groups"][0].pop("rounding")
    return saved


@pytest.mark.parametrize("how", ON.values(), ids=str)
def test_an_older_checkpoint_with_masters_in_float32_goes_on_bit_for_bit(how):
    param = start(torch.bfloat16)
    full = nn.Parameter(param.detach().float())
    optimizer = schuss.Adam([param], master_weights=True, foreach=False)
    expected = schuss.Adam([full], foreach=False)
    train(optimizer, param, grads(torch.bfloat16, 5))
    train(expected, full, grads(torch.bfloat16, 5))
    with torch.no_grad():
        full[0] = 1 + 2.0**-8  # halfway: to the even 1 then, and away from zero now
    saved = older_checkpoint(full.detach().clone(), optimizer)
    resumed = nn.Parameter(full.detach().bfloat16())
    second = schuss.Adam([resumed], master_weights=True, **how)
    second.load_state_dict(saved)
    assert torch.equal(weight(second, resumed), full)
    resumed.data[1] = 3.0  # written from outside, before the first step
    with torch.no_grad():
        full[1] = 3.0
    train(second, resumed, [torch.zeros(50)])
    train(expected, full, [torch.zeros(50)])
    tolerance = 0.0 if how == ON["loop"] else 1e-6
    torch.testing.assert_close(weight(second, resumed), full, rtol=tolerance, atol=tolerance)
    assert set(KEYS) & set(second.state[resumed]) == {REMAINDER}


def test_a_damaged_remainder_is_refused_before_anything_is_changed():
    param = start(torch.bfloat16)
    optimizer = schuss.SGD([param], master_weights=True)
    train(optimizer, param, grads(torch.bfloat16, 2))
    before = optimizer.state[param][REMAINDER].clone()
    for wrong, said in [
        (torch.zeros(50), "is torch.float32; it must be a tensor of torch.int8 or torch.int16"),
        (torch.zeros(49, dtype=torch.int16), "must be of the parameter's shape"),
        (3, "is int; it must be a tensor of"),
    ]:
        saved = copy.deepcopy(optimizer.state_dict())
        saved["state"][0][REMAINDER] = wrong
        with pytest.raises(ValueError, match=said):
            optimizer.load_state_dict(saved)
    assert torch.equal(optimizer.state[param][REMAINDER], before)


SWITCHES = list(itertools.permutations([*CURES.items(), ("plain", PLAIN)], 2))


@pytest.mark.parametrize(
    ("first", "then", "engine"),
    [(a, b, e) for (a, b), e in zip(SWITCHES, itertools.cycle(ON), strict=False)],
    ids=lambda each: each if isinstance(each, str) else each[0],
)
def test_the_way_may_be_switched_between_steps_and_the_weight_stays(first, then, engine):
    param = start(torch.bfloat16)
    optimizer = schuss.AdamW([param], lr=1e-3, **first[1], **ON[engine])
    train(optimizer, param, grads(torch.bfloat16, 5))
    before = weight(optimizer, param)
    optimizer.param_groups[0].update({**PLAIN, **then[1], "lr": 0.0})
    train(optimizer, param, grads(torch.bfloat16, 1))
    after = weight(optimizer, param)
    lost = {"exact": 0.0, "24 bits": 2.0**-16, "kahan": 2.0**-17}.get(then[0], 2.0**-7)
    assert ((after - before).abs() <= lost * before.abs() + 2.0**-130).all()
    kept = {k for k in KEYS if k in optimizer.state[param]}
    expected = schuss.AdamW([param], **then[1])
    train(expected, param, grads(torch.bfloat16, 1))
    assert kept == {k for k in KEYS if k in expected.state[param]}


def test_a_weight_is_set_in_full_whatever_keeps_it():
    new = torch.linspace(-3.0, 3.0, 50)
    for cure, lost in [("exact", 0.0), ("24 bits", 2.0**-16), ("kahan", 2.0**-16)]:
        param = start(torch.bfloat16)
        optimizer = schuss.SGD([param], **CURES[cure])
        train(optimizer, param, grads(torch.bfloat16, 2))
        state = optimizer.state[param]
        set_weight(state, param.detach(), new)
        assert ((weight_of(state, param) - new).abs() <= lost * new.abs()).all()
    state = {KEY: torch.zeros(50)}
    param = start(torch.float16)
    set_weight(state, param.detach(), new)
    assert torch.equal(state[KEY], new)
    assert torch.equal(param, new.half())
    assert Master("float16").is_kept(state)


def test_the_step_can_be_differentiated_through_the_weight():
    start = torch.tensor([1.0, -2.0], dtype=torch.bfloat16, requires_grad=True)
    for cure in CURES.values():
        param = start.clone()
        optimizer = schuss.SGD([param], lr=0.25, differentiable=True, **cure)
        param.grad = torch.tensor([0.5, 0.5], dtype=torch.bfloat16)
        optimizer.step()
        (found,) = torch.autograd.grad(param.sum(), start)
        assert found.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("other", [None, torch.zeros(3)], ids=["nothing", "numbers"])
def test_what_is_no_remainder_is_told(other):
    param = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = schuss.SGD([param], lr=0.1, master_weights=True)
    param.grad = torch.ones_like(param)
    optimizer.step()
    optimizer.state[param][REMAINDER] = other
    with pytest.raises(RuntimeError, match=r"'master_remainder' of a parameter of shape \(3,\) is"):
        weight_of(optimizer.state[param], param)

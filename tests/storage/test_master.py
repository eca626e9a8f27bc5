from __future__ import annotations

import io
import itertools
from functools import partial

import pytest
import torch
from torch import nn

import schuss
from tests.algorithms import EVERY, fitting, on
from tests.conformance.trajectories import ON
from tests.covers import in_turn

HALF = [torch.float16, torch.bfloat16]


def grads(dtype: torch.dtype, steps: int = 20) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(50, generator=generator).to(dtype) for _ in range(steps)]


def start(dtype: torch.dtype, of: str = "sgd") -> nn.Parameter:
    numbers = torch.randn(50, generator=torch.Generator().manual_seed(1))
    return nn.Parameter(fitting(of, numbers).to(dtype))


def train(optimizer: torch.optim.Optimizer, param: nn.Parameter, along: list[torch.Tensor]) -> None:
    for grad in along:
        param.grad = grad.to(param.dtype).view_as(param)
        optimizer.step()


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_the_master_takes_the_path_of_a_float32_parameter(name, dtype):
    low, full = start(dtype, name), nn.Parameter(start(dtype, name).detach().float())
    create = partial(schuss.create_optimizer, name, lr=1e-3, weight_decay=0.1, foreach=False)
    ours = create([low], master_weights=True)
    storage = low.data_ptr()
    train(ours, low, grads(dtype))
    train(create([full]), full, grads(dtype))
    assert torch.equal(ours.state[low]["master_param"], full)
    assert torch.equal(low, full.to(dtype))
    assert low.data_ptr() == storage
    buffers = [v for v in ours.state[low].values() if isinstance(v, torch.Tensor)]
    assert all(buffer.dtype is torch.float32 for buffer in buffers)


def test_updates_that_the_parameter_cannot_hold_add_up():
    """A bfloat16 weight of 1 can move by 0.004 at least."""
    plain, mastered = (nn.Parameter(torch.ones(1, dtype=torch.bfloat16)) for _ in range(2))
    one = [torch.ones(1, dtype=torch.bfloat16)] * 100
    train(schuss.AdamW([plain], lr=1e-3, weight_decay=0.0), plain, one)
    train(schuss.AdamW([mastered], lr=1e-3, weight_decay=0.0, master_weights=True), mastered, one)
    assert plain.item() == 1.0
    # 1 - 100 * 0.001, to a precision of 2**-9
    assert mastered.item() == pytest.approx(0.9, abs=2**-9)


@pytest.mark.parametrize(
    ("name", "how"), in_turn(EVERY, itertools.product(HALF, ON.values())), ids=str
)
def test_saving_and_loading_keeps_every_bit(name, how):
    dtype, engine = how

    def create(params):
        options = {"lr": 1e-3, "master_weights": True, **on(engine, name)}
        return schuss.create_optimizer(name, params, **options)

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
    assert second.state[resumed]["master_param"].dtype is torch.float32
    train(second, resumed, grads(dtype)[9:])
    assert torch.equal(resumed, through)


def test_weights_written_from_outside_win_over_the_master():
    param = start(torch.bfloat16)
    optimizer = schuss.SGD([param], lr=2**-12, master_weights=True)
    train(optimizer, param, grads(torch.bfloat16, steps=3))
    untouched = optimizer.state[param]["master_param"][1:].clone()
    param.data[0] = 0.0  # which does not count as an in-place change
    param.grad = torch.zeros_like(param)
    optimizer.step()
    assert param[0] == 0.0
    assert torch.equal(optimizer.state[param]["master_param"][1:], untouched)


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("how", ON.values(), ids=str)
def test_a_zero_of_the_other_sign_from_outside_wins_over_the_master(how, dtype):
    param = nn.Parameter(torch.full((3,), 1.0, dtype=dtype))
    optimizer = schuss.SGD([param], lr=1.0, master_weights=True, **how)
    train(optimizer, param, [torch.zeros(3)])
    # All three masters round to -0; the first and the last parameter are -0, and the second is 0.
    optimizer.state[param]["master_param"].fill_(-(2.0**-140))
    param.data.copy_(torch.tensor([-0.0, 0.0, -0.0]))
    train(optimizer, param, [torch.zeros(3)])
    assert optimizer.state[param]["master_param"].tolist() == [-(2.0**-140), 0.0, -(2.0**-140)]
    assert param.signbit().tolist() == [True, False, True]


def test_a_parameter_in_full_precision_has_no_master():
    param = start(torch.float32)
    optimizer = schuss.Adam([param], master_weights=True)
    train(optimizer, param, grads(torch.float32, steps=1))
    assert "master_param" not in optimizer.state[param]


def test_one_group_alone_may_have_masters():
    params = [start(torch.bfloat16), start(torch.bfloat16)]
    groups = [{"params": params[:1], "master_weights": True}, {"params": params[1:]}]
    optimizer = schuss.Adam(groups)
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert ["master_param" in optimizer.state[param] for param in params] == [True, False]


def test_the_scale_of_the_loss_is_divided_out_in_float32():
    """1e-7 times 2**-10 is zero in float16."""
    param = nn.Parameter(torch.zeros(1, dtype=torch.float16))
    optimizer = schuss.SGD([param], lr=2.0**20, master_weights=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((param.float() * 1e-7).sum()).backward()
    scaler.step(optimizer)
    # 1e-7 * 1024 in float16 is 1.0240e-4 to three digits
    assert optimizer.state[param]["master_param"].item() == pytest.approx(-0.1048576, rel=1e-3)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_a_checkpoint_without_masters_starts_them_at_the_parameters(dtype):
    param = start(dtype)
    plain = schuss.Adam([param])
    train(plain, param, grads(dtype, steps=3))
    mastered = schuss.Adam([param], master_weights=True)
    state_dict = plain.state_dict()
    state_dict["param_groups"][0]["master_weights"] = True
    mastered.load_state_dict(state_dict)
    assert torch.equal(mastered.state[param]["master_param"], param.float())
    assert mastered.state[param]["exp_avg"].dtype is torch.float32

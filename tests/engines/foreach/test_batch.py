"""The foreach engine from step to step: what it keeps, and what it looks at again."""

from __future__ import annotations

import math
import weakref
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import schuss
from schuss.engines.errors import UnfusableError
from schuss.engines.foreach import kept, members, step
from schuss.engines.foreach.instructions import instructions
from schuss.engines.kernels.fused import FusedBatch
from schuss.engines.planning import Planner
from schuss.engines.program.program import PARAM, Place, program
from tests.conformance.strangers import Ruled

SHAPES = ((4, 3), (5,), (), (2, 0))


def created(cls=schuss.AdamW, *, count: int = 1, dtype=torch.float32, **options):
    generator = torch.Generator().manual_seed(0)
    params = [
        nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in SHAPES * count
    ]
    optimizer = cls(params, lr=0.125, **{"foreach": True, **options})
    return optimizer, params


def stepped(optimizer, params, *, seed: int = 1, without=()) -> None:
    generator = torch.Generator().manual_seed(seed)
    for number, param in enumerate(params):
        grad = torch.randn(param.shape, generator=generator).to(param.dtype)
        param.grad = None if number in without else grad
    optimizer.step()


@pytest.fixture
def plans(monkeypatch) -> list[str]:
    """Return a list of the engines for which steps are planned anew."""
    found: list[str] = []
    on = Planner.on

    def noted(self, name, known, batch):
        found.append(name)
        return on(self, name, known, batch)

    monkeypatch.setattr(Planner, "on", noted)
    return found


class Calls(TorchDispatchMode):
    """Counts operations on lists, those that make new tensors, and the bytes of these at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.on_lists: Counter[str] = Counter()
        self.new = self.alive = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        made = func(*args, **(kwargs or {}))
        if name.startswith("_foreach"):
            self.on_lists[name] += 1
            self.new += not name.endswith("_")
            for tensor in made or ():
                self.alive += tensor.nbytes
                weakref.finalize(tensor, self.freed, tensor.nbytes)
            self.peak = max(self.peak, self.alive)
        return made

    def freed(self, count: int) -> None:
        self.alive -= count


def counted(step: Callable[[], object]) -> Calls:
    with Calls() as calls:
        step()
    return calls


def test_steps_go_on_with_what_was_planned(plans):
    optimizer, params = created()
    for seed in range(6):
        stepped(optimizer, params, seed=seed)
    assert plans == ["foreach"]
    twin, twins = created(foreach=False)
    for seed in range(6):
        stepped(twin, twins, seed=seed)
    for param, other in zip(params, twins, strict=True):
        torch.testing.assert_close(param, other)
    assert {optimizer.state[param]["step"] for param in params[:3]} == {6}


def another_memory(optimizer, params) -> None:
    params[0].data = params[0].detach().clone()


def another_state(optimizer, params) -> None:
    state = optimizer.state[params[0]]
    state["exp_avg"] = state["exp_avg"].clone()


def another_option(optimizer, params) -> None:
    optimizer.param_groups[0]["master_weights"] = True


def another_list(optimizer, params) -> None:
    optimizer.param_groups[0]["params"] = list(params)


def fewer(optimizer, params) -> None:
    del optimizer.param_groups[0]["params"][1]


@pytest.mark.parametrize(
    "edit", [another_memory, another_state, another_option, another_list, fewer]
)
@pytest.mark.parametrize("warm", [1, 4])  # the look is compiled after some steps
def test_an_edit_is_planned_anew(edit, warm, plans):
    pairs = [created(), created(foreach=False)]
    for optimizer, params in pairs:
        for seed in range(warm):
            stepped(optimizer, params, seed=seed)
        edit(optimizer, params)
        plans.clear()
        for seed in range(3):
            stepped(optimizer, params, seed=seed)
        if optimizer is pairs[0][0]:
            assert plans == ["foreach"]
    for param, other in zip(pairs[0][1], pairs[1][1], strict=True):
        torch.testing.assert_close(param, other)


def test_a_missing_gradient_is_passed_over_and_counts_go_their_ways(plans):
    pairs = [created(), created(foreach=False)]
    for optimizer, params in pairs:
        for seed, without in enumerate([(), (), (0,), (0, 1), (1,), ()]):
            stepped(optimizer, params, seed=seed, without=without)
    assert plans.count("foreach") == 1
    for param, other in zip(pairs[0][1], pairs[1][1], strict=True):
        torch.testing.assert_close(param, other)
    optimizer, params = pairs[0]
    assert [optimizer.state[param]["step"] for param in params[:3]] == [4, 4, 6]


def test_a_gradient_that_lies_otherwise_is_planned_anew_and_one_that_is_a_parameter_is_copied():
    pairs = [created(), created(foreach=False)]
    for optimizer, params in pairs:
        for seed in range(4):
            stepped(optimizer, params, seed=seed)
        params[0].grad = torch.ones(3, 4).t()
        optimizer.step()
        params[0].grad = params[0].detach()
        optimizer.step()
    for param, other in zip(pairs[0][1], pairs[1][1], strict=True):
        torch.testing.assert_close(param, other)


def test_numbers_that_differ_take_one_call_for_all():
    optimizer, params = created(count=3)
    stepped(optimizer, params)
    for number, param in enumerate(params):
        if param.numel():
            optimizer.state[param]["step"] = number
    for seed in range(3):
        stepped(optimizer, params, seed=seed)
    # The parameters without dimensions are a cohort of their own.
    assert set(counted(optimizer.step).on_lists.values()) <= {2, 4}


def test_a_step_makes_no_tensors_of_numbers_and_writes_those_that_have_changed(monkeypatch):
    optimizer, params = created()
    for seed in range(3):
        stepped(optimizer, params, seed=seed)
    monkeypatch.setattr(kept, "single", None)
    monkeypatch.setattr(step, "instructions", None)  # nor are instructions looked up
    written: list[float] = []
    fill = Tensor.fill_

    def noted(tensor: Tensor, number: float) -> Tensor:
        written.append(number)
        return fill(tensor, number)

    monkeypatch.setattr(Tensor, "fill_", noted)
    stepped(optimizer, params)
    assert written == [1 - 0.999**4] * 2  # of matrices, and of numbers without dimensions
    written.clear()
    optimizer.param_groups[0]["lr"] = 0.25
    stepped(optimizer, params)
    assert sorted(written) == [1 - 0.999**5] * 2 + [1 - 0.25 * 0.01] * 2


def test_another_program_has_other_instructions():
    pairs = [created(), created(foreach=False)]
    for optimizer, params in pairs:
        for seed in range(6):
            optimizer.param_groups[0]["maximize"] = seed in (3, 5)
            stepped(optimizer, params, seed=seed)
    for param, other in zip(pairs[0][1], pairs[1][1], strict=True):
        torch.testing.assert_close(param, other)


def test_two_zeros_are_two_numbers():
    halved = program((Place(PARAM),), (("div", 0, ~0),), ((PARAM, 1),))
    plan = kept.Plan(halved, instructions(halved, on_cpu=True))
    signs = []
    for number in (0.0, -0.0, 0.0):
        *_, found = plan.with_singles([number], torch.float32)
        assert isinstance(found, Tensor)
        signs.append(math.copysign(1.0, found.item()))
    assert signs == [1, -1, 1]


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adamw_takes_no_more_calls_and_new_lists_than_that_of_torch(amsgrad):
    params = [nn.Parameter(torch.ones(4)) for _ in range(3)]
    for param in params:
        param.grad = torch.ones(4)
    found = []
    for cls in (schuss.AdamW, torch.optim.AdamW):
        optimizer = cls(params, foreach=True, amsgrad=amsgrad)
        for _ in range(3):
            optimizer.step()
        found.append(counted(optimizer.step))
    ours, theirs = found
    assert ours.on_lists.total() == theirs.on_lists.total() - 1  # which counts the steps
    assert ours.new == theirs.new == 1


def test_adamw_takes_less_memory_than_that_of_torch():
    size, count = members.PIECE["cpu"], 8
    found = []
    for cls in (schuss.AdamW, torch.optim.AdamW):
        params = [nn.Parameter(torch.ones(size)) for _ in range(count)]
        for param in params:
            param.grad = torch.ones_like(param)
        optimizer = cls(params, foreach=True)
        for _ in range(3):
            optimizer.step()
        found.append(counted(optimizer.step))
    ours, theirs = found
    assert theirs.peak == count * size * 4  # one new list
    assert ours.peak == size * 4  # one for a piece
    assert ours.alive == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("piece", [1, 14, 1 << 20])
def test_pieces_are_steps_of_all(dtype, piece, monkeypatch):
    monkeypatch.setitem(members.PIECE, "cpu", piece)
    pairs = [created(dtype=dtype, count=2), created(dtype=dtype, count=2, foreach=False)]
    for optimizer, params in pairs:
        for seed, without in enumerate([(), (4,), (0,), ()]):
            stepped(optimizer, params, seed=seed, without=without)
    for param, other in zip(pairs[0][1], pairs[1][1], strict=True):
        torch.testing.assert_close(param, other)


def test_random_numbers_of_a_step_do_not_repeat_from_piece_to_piece(monkeypatch):
    def moving_at_random(state, group, grad, param):
        param.add_(torch.rand_like(param))

    monkeypatch.setitem(members.PIECE, "cpu", 4)
    params = [nn.Parameter(torch.zeros(4)) for _ in range(3)]
    for param in params:
        param.grad = torch.ones(4)
    Ruled(params, moving_at_random, foreach=True).step()
    assert len({tuple(param.tolist()) for param in params}) == 3


def on_array(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array)


def test_memory_that_was_taken_away_is_not_held():
    array = np.ones(5, dtype=np.float32)
    param = nn.Parameter(on_array(array))
    optimizer = schuss.AdamW([param], foreach=True)
    for _ in range(4):
        param.grad = torch.ones(5)
        optimizer.step()
    held = weakref.ref(array)
    param.data = torch.ones(5)
    del array
    assert held() is None


def counting(state, group, grad, param):
    state["n"] = state.get("n", 0) + 1
    param.sub_(grad * state["n"])
    if group.get("fails"):
        raise ZeroDivisionError


def test_a_group_is_as_it_was_if_a_later_one_raises():
    first, second = (nn.Parameter(torch.ones(3)) for _ in range(2))
    groups = [{"params": [first]}, {"params": [second], "foreach": False}]
    optimizer = Ruled(groups, counting, foreach=True)
    first.grad, second.grad = torch.ones(3), torch.ones(3)
    for _ in range(4):
        optimizer.step()
    second.grad, second.data = None, second.double()
    second.grad = torch.ones(3, dtype=torch.float64)
    before = first.tolist()
    optimizer.param_groups[1]["fails"] = True
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            optimizer.step()
        assert first.tolist() == before
    optimizer.param_groups[1]["fails"] = False
    optimizer.step()
    # 1 - (1 + 2 + 3 + 4 + 5) = -14.
    assert first.tolist() == [-14.0] * 3
    assert optimizer.state[first]["n"] == 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_gradients_are_not_written_to(dtype):
    optimizer, params = created(schuss.SGD, dtype=dtype, maximize=True, weight_decay=0.5)
    for seed in range(4):
        stepped(optimizer, params, seed=seed)
    before = [param.grad.clone() for param in params]
    optimizer.step()
    assert all(torch.equal(param.grad, x) for param, x in zip(params, before, strict=True))


def test_numbers_are_in_the_states_where_nothing_is_kept(plans):
    param = nn.Parameter(torch.empty(3, device="meta"))
    optimizer = schuss.AdamW([param], foreach=True)
    for _ in range(3):
        param.grad = torch.empty(3, device="meta")
        optimizer.step()
    assert plans == ["foreach"] * 3
    assert optimizer.state[param]["step"] == 3


def test_nothing_is_kept_where_a_faster_engine_may_come_to_run_the_rule(monkeypatch, plans):
    def refusing(self, *args):
        raise UnfusableError("not now")

    optimizer, params = created(foreach=None)
    with monkeypatch.context() as patch:
        patch.setattr(FusedBatch, "__init__", refusing)
        with pytest.warns(UserWarning, match="not now"):
            stepped(optimizer, params)
        stepped(optimizer, params)
        stepped(optimizer, params)
    assert plans == ["fused", "foreach", "foreach", "foreach"]
    optimizer.param_groups[0]["amsgrad"] = True
    stepped(optimizer, params)
    assert plans[4:] == ["fused"]

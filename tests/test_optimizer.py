"""The contract, and what a user of `torch.optim` expects of any optimizer."""

from __future__ import annotations

import copy
import io
import itertools
import pickle

import pytest
import torch
from torch import nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.profiler import ProfilerActivity, profile

import schuss
from schuss import GenericAdaptiveOptimizer, Optimizer, WeightDecay
from tests.algorithms import EVERY, OF_MATRICES, TRACED, fitting, on
from tests.conformance.trajectories import ON, ONE_RATE, REAL_ONLY, in_little_time
from tests.covers import in_turn

pytestmark = pytest.mark.usefixtures("without_compiler")


class Descent(Optimizer):
    """Gradient descent that keeps the number of its steps."""

    def __init__(self, params, lr=0.5, **options):
        super().__init__(params, {"lr": lr}, **options)

    def init_state(self, state, group, param):
        state["step"] = 0

    def update(self, state, group, grad, param):
        return grad


class Adaptive(GenericAdaptiveOptimizer):
    """Written as labml's classes are."""

    def __init__(self, params, defaults=None, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, **options):
        super().__init__(params, defaults or {}, lr, betas, eps, **options)

    def init_state(self, state, group, param):
        state["step"] = 0

    def step_param(self, state, group, grad, param):
        state["step"] += 1
        param.data.add_(grad, alpha=-group["lr"])


def weight(*values: float, of: str = "sgd") -> nn.Parameter:
    param = nn.Parameter(fitting(of, torch.tensor(values or (1.0, -2.0))))
    param.grad = torch.ones_like(param)
    return param


def stepped(optimizer: torch.optim.Optimizer, param: nn.Parameter, steps: int = 3) -> torch.Tensor:
    for _ in range(steps):
        param.grad = param.detach() ** 2 + 1
        optimizer.step()
    return param.detach().clone()


# The contract


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -1.0}, "Invalid learning rate: -1.0"),
        ({"lr": float("nan")}, "Invalid learning rate: nan"),
        ({"eps": -1e-8}, "Invalid epsilon value: -1e-08"),
        ({"betas": (1.0, 0.999)}, "Invalid beta parameter at index 0: 1.0"),
        ({"betas": (0.9, -0.1)}, "Invalid beta parameter at index 1: -0.1"),
    ],
    ids=str,
)
def test_a_value_outside_its_domain_is_refused_for_all_groups_and_for_one(arguments, message):
    with pytest.raises(ValueError, match=message):
        Adaptive([weight()], **arguments)
    with pytest.raises(ValueError, match=message):
        Adaptive([{"params": [weight()]}, {"params": [weight()], **arguments}])
    optimizer = Adaptive([weight()])
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": [weight()], **arguments})
    assert len(optimizer.param_groups) == 1
    state_dict = optimizer.state_dict()
    state_dict["param_groups"][0].update(arguments)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state_dict)
    assert optimizer.param_groups[0]["lr"] == 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": "fast"}, "Invalid learning rate: 'fast'; lr must be a number"),
        ({"eps": None}, "Invalid epsilon value: None; eps must be a number"),
        ({"betas": 0.9}, "Invalid betas: 0.9; betas must be a tuple"),
        ({"betas": ("a", 0.9)}, r"betas\[0\] must be a number"),
    ],
    ids=str,
)
def test_what_is_not_a_number_is_refused_by_name(arguments, message):
    with pytest.raises(TypeError, match=message):
        Adaptive([weight()], **arguments)


def test_a_learning_rate_of_two_numbers_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2,\); lr must be a number or a tensor of one"):
        Descent([weight()], lr=torch.tensor([0.1, 0.2]))


def test_the_error_names_the_optimizer_and_the_group():
    with pytest.raises(ValueError, match=r"Adaptive, parameter group 1"):
        Adaptive([{"params": [weight()]}, {"params": [weight()], "lr": -1.0}])


def test_defaults_and_groups_of_the_caller_are_never_changed():
    defaults, group = {"mine": 1}, {"params": [weight()], "lr": 0.1}
    optimizer = Adaptive([group], defaults)
    assert defaults == {"mine": 1}
    assert set(group) == {"params", "lr"}
    assert optimizer.param_groups[0]["mine"] == 1


def test_forgetting_the_rule_or_the_state_is_an_error():
    class NoRule(GenericAdaptiveOptimizer):
        def init_state(self, state, group, param):
            state["step"] = 0

    class NoState(GenericAdaptiveOptimizer):
        def step_param(self, state, group, grad, param):
            param.sub_(grad)

    class Nothing(Optimizer):
        pass

    with pytest.raises(TypeError, match="NoRule has no rule: override update"):
        NoRule([weight()], {}, 0.1, (0.9, 0.999), 1e-8)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="NoState has no state: override init_state"):
        NoState([weight()], {}, 0.1, (0.9, 0.999), 1e-8)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Nothing has no rule"):
        Nothing([weight()], {"lr": 0.1})  # type: ignore[call-arg]


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="AdamW got an unexpected keyword argument 'momentum'"):
        schuss.create_optimizer("adamw", [weight()], momentum=0.9)
    with pytest.raises(TypeError, match="'wd'; beside lr, betas, eps, .*weight_decay.* takes max"):
        schuss.AdamW([weight()], wd=0.1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (nn.Linear(2, 2), r"the model Linear; .* as in AdamW\(model.parameters\(\)\)"),
        (weight(), r"a tensor of shape \(2,\); give a list, as in AdamW\(\[weight\]\)"),
        ("weight", "'weight'; give a list of tensors, or of groups"),
        (3, "3; give a list"),
    ],
    ids=["model", "tensor", "name", "number"],
)
def test_what_is_no_list_of_parameters_is_refused_with_the_right_one(params, message):
    with pytest.raises(TypeError, match=message):
        schuss.AdamW(params)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"capturable": True, "foreach": True}, "capturable=True asks for kernels on a GPU"),
        ({"capturable": True, "differentiable": True}, "capturable=True cannot be differentiated"),
        ({"foreach": True, "fused": True}, "ask for two engines"),
        ({"foreach": True, "differentiable": True}, "foreach=True cannot be differentiated"),
        ({"fused": True, "differentiable": True}, "fused=True cannot be differentiated"),
    ],
)
def test_ways_to_run_that_there_are_not_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        schuss.Adam([weight()], **flags)


def test_the_closure_is_called_once_with_gradients_on_and_its_loss_returned():
    param, calls = weight(), []
    optimizer = Descent([param], lr=0.5)

    def closure():
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = param.square().sum()
        loss.backward()
        return loss.item()

    with torch.no_grad():
        loss = optimizer.step(closure)
    assert (loss, calls) == (5.0, [True])
    # theta - 0.5 * 2 theta = 0
    assert param.tolist() == [0.0, 0.0]
    assert optimizer.step() is None


def test_parameters_without_gradient_are_skipped_and_state_comes_with_the_first_gradient():
    first, late = weight(), weight()
    late.grad = None
    optimizer = Descent([first, late])
    optimizer.step()
    assert late not in optimizer.state
    late.grad = torch.ones_like(late)
    optimizer.step()
    assert (optimizer.state[first]["step"], optimizer.state[late]["step"]) == (2, 1)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("sgd", "adagrad")])
def test_a_sparse_gradient_is_refused_before_anything_is_changed(name):
    dense, embedding = weight(of=name), nn.Embedding(4, 2, sparse=True)
    optimizer = schuss.create_optimizer(name, [dense, embedding.weight])
    embedding(torch.tensor([1])).sum().backward()
    before = dense.detach().clone()
    with pytest.raises(
        RuntimeError, match=r"does not support sparse gradients, please consider SparseAdam instead"
    ):
        optimizer.step()
    assert torch.equal(dense, before)
    assert not optimizer.state


def test_a_rule_that_fails_in_init_state_leaves_no_half_of_a_state():
    class Fails(Descent):
        def init_state(self, state, group, param):
            state["step"] = 0
            raise MemoryError

    optimizer = Fails([weight()])
    with pytest.raises(MemoryError):
        optimizer.step()
    assert not any(optimizer.state.values())


def test_the_learning_rate_of_a_schedule_in_the_rule_reaches_the_decay():
    class Halved(Descent):
        def get_lr(self, state, group):
            return group["lr"] / 2 ** state["step"]

    param = weight(1.0)
    optimizer = Halved([param], lr=0.8, weight_decay=WeightDecay(0.5))  # type: ignore[call-arg]
    optimizer.step()
    # lr = 0.4: 1 * (1 - 0.4 * 0.5) - 0.4 * 1 = 0.4
    assert param.item() == pytest.approx(0.4)
    param.grad = torch.ones(1)
    optimizer.step()
    # lr = 0.2: 0.4 * (1 - 0.2 * 0.5) - 0.2 = 0.16
    assert param.item() == pytest.approx(0.16)


# A good torch citizen


@pytest.mark.parametrize(("name", "engine"), in_turn(EVERY, ON))
def test_gradients_are_never_changed(name, engine):
    param = weight(3.0, -0.5, of=name)
    optimizer = schuss.create_optimizer(
        name, [param], weight_decay=0.1, maximize=True, **on(ON[engine], name)
    )
    param.grad = grad = fitting(name, torch.tensor([3.0, -2.0]))
    before = grad.clone()
    optimizer.step()
    assert param.grad is grad
    assert torch.equal(grad, before)


@pytest.mark.parametrize("name", EVERY)
def test_maximizing_is_minimizing_the_negative(name):
    up, down = weight(3.0, -0.5, of=name), weight(3.0, -0.5, of=name)
    # On the loop, with which the other engines are compared elsewhere.
    ascent = schuss.create_optimizer(name, [up], maximize=True, lr=0.1, foreach=False)
    descent = schuss.create_optimizer(name, [down], lr=0.1, foreach=False)
    for step in range(5):
        up.grad = fitting(name, torch.tensor([1.0, -step]))
        down.grad = -up.grad
        ascent.step()
        descent.step()
    assert torch.equal(up, down)


@pytest.mark.parametrize(("name", "engine"), in_turn(EVERY, ON))
def test_a_copied_or_pickled_optimizer_goes_on_by_itself(name, engine):
    param, options = weight(of=name), {"weight_decay": schuss.L1Decay(0.1), "lr": 0.1}
    optimizer = schuss.create_optimizer(name, [param], **options, **on(ON[engine], name))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    stepped(optimizer, param)
    scheduler.step()
    twins = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))]
    expected = stepped(optimizer, param)
    for twin in twins:
        (twin_param,) = twin.param_groups[0]["params"]
        assert twin_param is not param
        assert torch.equal(stepped(twin, twin_param), expected)


def test_hooks_run_around_steps_zero_grad_and_checkpoints():
    param, events = weight(), []
    optimizer = schuss.Adam([param])
    optimizer.register_step_pre_hook(lambda *_: events.append("before step"))
    optimizer.register_step_post_hook(lambda *_: events.append("after step"))
    optimizer.register_state_dict_pre_hook(lambda _: events.append("before save"))
    optimizer.register_state_dict_post_hook(lambda _, saved: {**saved, "note": "kept"})
    optimizer.register_load_state_dict_pre_hook(lambda _, saved: events.append(saved["note"]))
    optimizer.register_load_state_dict_post_hook(lambda _: events.append("after load"))
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.zero_grad()
    assert events == ["before step", "after step", "before save", "kept", "after load"]
    assert param.grad is None


def test_hooks_for_all_optimizers_run_around_steps_too():
    optimizer, events = schuss.Adam([weight()]), []
    optimizer.step()
    before = register_optimizer_step_pre_hook(lambda *_: events.append("before"))
    after = register_optimizer_step_post_hook(lambda *_: events.append("after"))
    optimizer.step()
    before.remove()
    after.remove()
    optimizer.step()
    assert events == ["before", "after"]


def test_a_profile_names_the_steps():
    optimizer = schuss.Lion([weight()])
    with profile(activities=[ProfilerActivity.CPU]) as found:
        optimizer.step()
        optimizer.step()
    (steps,) = [e for e in found.key_averages() if e.key == "Optimizer.step#Lion.step"]
    assert steps.count == 2


def test_a_group_may_be_added_in_the_middle_of_training():
    first, second = weight(), weight()
    optimizer = schuss.AdamW([first], lr=0.1)
    optimizer.step()
    optimizer.add_param_group({"params": second, "lr": 0.5, "weight_decay": 0.0})
    optimizer.step()
    assert [optimizer.state[p]["step"] for p in (first, second)] == [2, 1]
    # The first step of Adam is of length lr: 1 - 0.5, -2 - 0.5.
    assert second.tolist() == pytest.approx([0.5, -2.5])


def test_named_parameters_keep_their_names_through_a_checkpoint():
    model = nn.Linear(2, 2)
    optimizer = schuss.SGD(model.named_parameters(), lr=0.1, momentum=0.9)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


def test_empty_groups_empty_parameters_and_scalars_are_fine():
    empty, scalar = nn.Parameter(torch.zeros(0, 3)), nn.Parameter(torch.tensor(2.0))
    empty.grad, scalar.grad = torch.zeros(0, 3), torch.tensor(1.0)
    for name in TRACED:
        optimizer = schuss.create_optimizer(name, [{"params": []}, {"params": [empty, scalar]}])
        before = scalar.item()
        for _ in range(5):  # some wait in the first
            optimizer.step()
        assert scalar.item() < before, name
    with pytest.raises(ValueError, match="empty parameter list"):
        schuss.Adam([])


@pytest.mark.parametrize("engine", [{}, {"foreach": True}, {"foreach": False}], ids=str)
def test_an_empty_parameter_gets_its_state_with_its_first_gradient(engine):
    empty, other = nn.Parameter(torch.zeros(0, 3)), nn.Parameter(torch.ones(2))
    optimizer = schuss.AdamW([other, empty], **engine)
    states = optimizer._engine.kept  # which nothing is told of, as it is by reading `state`
    for step in range(8):
        other.grad = torch.ones(2)
        empty.grad = torch.zeros(0, 3) if step >= 4 else None
        optimizer.step()
        assert (empty in states.states) is (step >= 4)
    assert list(states.states[empty]) == list(states.states[other])


def test_a_parameter_in_two_groups_or_of_no_leaf_is_refused():
    param = weight()
    with pytest.raises(ValueError, match="more than one parameter group"):
        schuss.Adam([{"params": [param]}, {"params": [param]}])
    with pytest.raises(ValueError, match="non-leaf"):
        schuss.Adam([param * 2])


def test_a_parameter_that_two_modules_share_moves_once():
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    optimizer = Descent(model.parameters(), lr=1.0)
    before = first.weight.detach().clone()
    (grad,) = torch.autograd.grad(model(torch.ones(2)).sum(), [first.weight])
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    assert torch.allclose(first.weight, before - grad)


@pytest.mark.filterwarnings("ignore:SM3 cannot run:UserWarning")  # of four dimensions
@pytest.mark.parametrize("name", EVERY)
def test_the_layout_of_a_gradient_or_a_parameter_does_not_matter(name):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(2, 3, 4, 4, generator=generator)
    options = {"matrices": "flatten"} if name in OF_MATRICES else {}
    results = []
    for layout in ("contiguous", "channels last", "transposed", "strided gradient"):
        param = nn.Parameter(start.clone())
        if layout == "channels last":
            param = nn.Parameter(start.to(memory_format=torch.channels_last))
        elif layout == "transposed":
            param = nn.Parameter(start.transpose(0, 3).contiguous().transpose(0, 3))
        optimizer = schuss.create_optimizer(name, [param], weight_decay=0.1, **options)
        with in_little_time(name):
            for _ in range(3):
                grad = param.detach().cos()
                if layout == "strided gradient":
                    grad = torch.stack([grad, grad], dim=-1)[..., 0]
                    assert not grad.is_contiguous()
                param.grad = grad
                optimizer.step()
        results.append(param.detach())
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("name", EVERY)
def test_a_frozen_parameter_with_a_gradient_moves_as_in_torch(name):
    frozen = fitting(name, torch.tensor([1.0]))
    frozen.grad = torch.ones_like(frozen)
    optimizer = schuss.create_optimizer(name, [frozen], lr=0.1)
    for _ in range(5):  # some wait in the first
        optimizer.step()
    assert frozen.item() < 1.0


@pytest.mark.parametrize("name", sorted(REAL_ONLY))
def test_statistics_of_rows_and_columns_are_not_of_complex_parameters(name):
    param = nn.Parameter(torch.ones(5, dtype=torch.complex64))
    param.grad = torch.ones_like(param)
    optimizer = schuss.create_optimizer(name, [param])
    with pytest.raises(TypeError, match=r"shape \(5,\) is torch.complex64; .* real parameters"):
        optimizer.step()
    assert (param == 1).all()


@pytest.mark.parametrize("name", [name for name in TRACED if name not in REAL_ONLY])
def test_a_complex_parameter_moves_as_its_two_parts_do(name):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, dtype=torch.complex64, generator=generator)
    whole, parts = nn.Parameter(start.clone()), nn.Parameter(torch.view_as_real(start).clone())
    # MARS would correct the gradient of two columns, but not that of a complex vector.
    options = {"optimize_1d": True} if name == "mars" else {}
    of_whole = schuss.create_optimizer(name, [whole], weight_decay=0.1, lr=0.1, **options)
    of_parts = schuss.create_optimizer(name, [parts], weight_decay=0.1, lr=0.1, **options)
    for _ in range(10):
        grad = torch.randn(5, dtype=torch.complex64, generator=generator)
        whole.grad, parts.grad = grad.conj(), torch.view_as_real(grad.conj().resolve_conj())
        of_whole.step()
        of_parts.step()
    assert torch.equal(torch.view_as_real(whole), parts)
    kept = of_whole.state[whole].values()
    buffers = [v for v in kept if isinstance(v, torch.Tensor) and v.shape == whole.shape]
    assert all(buffer.dtype is torch.complex64 for buffer in buffers)


# GradScaler


# A scaler hands over its scale and its verdict to kernels, and in half precision to all engines.
@pytest.mark.parametrize(
    ("name", "way"),
    in_turn(EVERY, itertools.product(ON, (torch.float32, torch.float16))),
    ids=str,
)
def test_a_grad_scaler_changes_nothing_and_skips_steps_with_infinite_gradients(name, way):
    engine, dtype = way
    start = fitting(name, torch.tensor([1.0, -2.0], dtype=dtype))
    scaled, plain = (nn.Parameter(start.clone()) for _ in range(2))
    # A half-precision weight does not see a step of a millionth.
    options = {"d0": 0.1} if name in ONE_RATE else {}
    options |= {"reps_rel": 0.1} if name in ("dog", "ldog") else {}
    options |= {"silent_sgd_phase": False} if name == "radamschedulefree" else {}
    ours, unscaled = (
        schuss.create_optimizer(name, [param], lr=0.5, **on(ON[engine], name), **options)
        for param in (scaled, plain)
    )
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for loss_factor in (1.0, float("inf"), 0.5):
        scaled.grad = plain.grad = None
        loss = (scaled * loss_factor).sum()
        scaler.scale(loss).backward()
        scaler.step(ours)
        scaler.update()
        if loss_factor < float("inf"):
            (plain * loss_factor).sum().backward()
            unscaled.step()
    # A norm of scaled gradients is rounded otherwise.
    torch.testing.assert_close(scaled, plain, rtol=1e-6, atol=0)
    assert not torch.equal(plain, start)
    assert scaler.get_scale() == 512.0


def test_a_grad_scaler_divides_gradients_itself_unless_the_optimizer_was_asked_to():
    for dtype, fused, kept in (
        (torch.float32, None, False),
        (torch.float32, True, True),
        (torch.float16, None, True),  # which a scaler refuses to divide
    ):
        param = nn.Parameter(torch.tensor([1.0], dtype=dtype))
        optimizer = Descent([param], lr=1.0, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        scaler.scale((param * 3).sum()).backward()
        scaler.step(optimizer)
        assert param.item() == -2.0
        assert param.grad is not None
        assert param.grad.item() == (3072.0 if kept else 3.0)


def test_gradients_that_the_user_has_unscaled_and_clipped_are_used_as_they_are():
    param = weight()
    optimizer = Descent([param], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    param.grad = None
    scaler.scale((param * 3).sum()).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_value_(param, 0.25)
    scaler.step(optimizer)
    assert param.tolist() == [0.75, -2.25]


# Schedulers


def test_every_scheduler_of_torch_drives_the_learning_rate():
    schedulers = torch.optim.lr_scheduler
    makers = {
        "LambdaLR": lambda o: schedulers.LambdaLR(o, lambda epoch: 0.9**epoch),
        "MultiplicativeLR": lambda o: schedulers.MultiplicativeLR(o, lambda epoch: 0.9),
        "StepLR": lambda o: schedulers.StepLR(o, 2),
        "MultiStepLR": lambda o: schedulers.MultiStepLR(o, [1, 3]),
        "ConstantLR": schedulers.ConstantLR,
        "LinearLR": schedulers.LinearLR,
        "ExponentialLR": lambda o: schedulers.ExponentialLR(o, 0.9),
        "CosineAnnealingLR": lambda o: schedulers.CosineAnnealingLR(o, 5),
        "PolynomialLR": schedulers.PolynomialLR,
        "CyclicLR": lambda o: schedulers.CyclicLR(o, 0.01, 0.1, 2, cycle_momentum=False),
        "CyclicLR with momentum": lambda o: schedulers.CyclicLR(o, 0.01, 0.1, 2),
        "OneCycleLR": lambda o: schedulers.OneCycleLR(o, 0.1, total_steps=6),
        "CosineAnnealingWarmRestarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, 3),
    }
    for name, make in makers.items():
        ours, theirs = weight(), weight()
        optimizers = schuss.AdamW([ours], lr=0.1), torch.optim.AdamW([theirs], lr=0.1)
        driven = [make(optimizer) for optimizer in optimizers]
        for _ in range(5):
            for optimizer, scheduler in zip(optimizers, driven, strict=True):
                optimizer.step()
                scheduler.step()
        torch.testing.assert_close(ours, theirs, msg=name)


def test_reduce_on_plateau_drives_the_learning_rate():
    optimizer = Descent([weight()], lr=0.5)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for loss in (1.0, 2.0):
        optimizer.step()
        scheduler.step(loss)
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_a_scheduler_writes_into_a_tensor_and_the_next_step_uses_it():
    param, lr = weight(0.0), torch.tensor([0.5])
    optimizer = Descent([param], lr=lr)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    optimizer.step()
    # -0.5 - 0.25
    assert param.item() == -0.75
    assert optimizer.param_groups[0]["lr"] is lr


def test_an_optimizer_is_saved_and_loaded_by_torch_with_weights_only():
    param = weight()
    optimizer = schuss.NAdam([param], lr=0.1)
    stepped(optimizer, param)
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    optimizer.load_state_dict(torch.load(buffer, weights_only=True))
    assert optimizer.state[param]["step"] == 3

"""Every transform with every engine, in every precision."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from torch import nn

import schuss
from schuss import Transform
from tests.algorithms import EVERY, fitting, on
from tests.conformance.trajectories import ON, TOLERANCE, Training, distance, trajectory
from tests.covers import EXHAUSTIVE, combinations, in_turn

ENGINES = ("foreach", "fused")
# Written with the group that differs.
TRANSFORMS: dict[str, tuple[Transform, dict[str, object]]] = {
    "by value": (schuss.ClipByValue(0.5), {"max_grad_value": None}),
    "by norm": (schuss.ClipByNorm(0.5), {"max_param_grad_norm": 0.1}),
    "by global norm": (schuss.ClipByGlobalNorm(0.5), {"max_grad_norm": 0.1}),
    "by global norm of one group": (schuss.ClipByGlobalNorm(0.5), {"max_grad_norm": None}),
    "adaptively": (schuss.ClipAdaptive(0.5), {"clip_factor": None}),
    "update": (schuss.ClipUpdate(0.5), {"max_update_rms": None}),
    "cautious": (schuss.Cautious(), {"cautious": False}),
    "cautious decay": (schuss.CautiousDecay(0.3), {"cautious_weight_decay": 0.0}),
    "trust ratio": (schuss.TrustRatio(max_trust_ratio=2.0), {"max_trust_ratio": None}),
    "hyperball": (schuss.Hyperball(), {"hyperball": False}),
    "orthogonal": (schuss.OrthogonalGradient(), {"orthogonal_gradient": False}),
    "centralized": (schuss.GradientCentralization(), {"gradient_centralization": False}),
    "grokfast": (schuss.Grokfast(), {"grokfast_lamb": 0.5}),
    "lookahead": (schuss.Lookahead(), {"lookahead_k": 3}),
    "ema": (schuss.EMA(0.9), {"ema_warmup": True}),
    "skip": (schuss.SkipNonFinite(), {}),
    "start": (schuss.DecayToStart(0.3), {"decay_to_start": 0.1}),
}
ALL = [transform for transform, _ in TRANSFORMS.values()]


def created(params, *transforms, name="adamw", **options):
    return schuss.create_optimizer(name, params, lr=3e-2, transforms=transforms, **options)


@pytest.mark.parametrize(
    ("case", "dtype", "engine"), combinations(TRANSFORMS, TOLERANCE, ENGINES), ids=str
)
def test_a_transform_does_on_every_engine_what_it_does_on_the_loop(case, dtype, engine):
    transform, other = TRANSFORMS[case]
    training = Training(steps=40, dtype=dtype, second_group=other, scheduled=True, saved_after=17)
    create = partial(created_of, transform)
    expected = trajectory(partial(create, foreach=False), training)
    found = trajectory(partial(create, **{engine: True}), training)
    assert distance(found, expected) <= TOLERANCE[dtype]


def created_of(transform, params, **options):
    return created(params, transform, **options)


def after(transforms, grads, start=(1.0, -2.0), **options):
    """Return where gradient descent of length 1 ends, and its state and group."""
    param = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = schuss.SGD([param], lr=1.0, transforms=transforms, **options)
    for grad in grads:
        param.grad = torch.tensor(grad, dtype=torch.float64)
        optimizer.step()
    return param.tolist(), optimizer.state[param], optimizer.param_groups[0]


STEPS = {
    "by value": (schuss.ClipByValue(0.5), [[3.0, -0.25]], [0.5, -1.75]),
    "by norm": (schuss.ClipByNorm(2.5), [[3.0, -4.0]], [-0.5, 0.0]),
    "a short gradient": (schuss.ClipByNorm(6.0), [[3.0, -4.0]], [-2.0, 2.0]),
    "by global norm": (schuss.ClipByGlobalNorm(2.5), [[3.0, -4.0]], [-0.5, 0.0]),
    # rms = sqrt((1 + 49) / 2) = 5
    "update": (schuss.ClipUpdate(2.5), [[1.0, -7.0]], [0.5, 1.5]),
    # The norm of the weights is 5, that of the gradient 10.
    "trust ratio": (schuss.TrustRatio(), [[6.0, 8.0]], [3.0 - 3.0, 4.0 - 4.0], (3.0, 4.0)),
    "bounded": (schuss.TrustRatio(max_trust_ratio=0.25), [[6.0, 8.0]], [1.5, 2.0], (3.0, 4.0)),
    # Of length 5, by an update of length 5: (3, 4) - (3, -4) = (0, 8), of length 5 again.
    "hyperball": (schuss.Hyperball(), [[6.0, -8.0]], [0.0, 5.0], (3.0, 4.0)),
    "hyperball of zeros": (schuss.Hyperball(), [[6.0, -8.0]], [-6.0, 8.0], (0.0, 0.0)),
    # g = 5 e_1 + 0 along (1, 0); what is at a right angle is (0, 3), made as long as g.
    "orthogonal": (schuss.OrthogonalGradient(), [[4.0, 3.0]], [1.0, -5.0], (1.0, 0.0)),
    # The mean begins with the first gradient: 1 + 2 * 1, then 3 + 2 * (0.5 * 1 + 0.5 * 3).
    "grokfast": (schuss.Grokfast(0.5, 2.0), [[1.0], [3.0]], [-10.0], (0.0,)),
    # 0 to -1 to -2, back to -1; to -2, to -3, back to -2.
    "lookahead": (schuss.Lookahead(2, 0.5), [[1.0]] * 4, [-2.0], (0.0,)),
    # theta_0 = 1: to 0, then by 0 + 0.5 (0 - 1).
    "start": (schuss.DecayToStart(0.5), [[1.0], [0.0]], [0.5], (1.0,)),
    # Both shrink by a half: where the step leads to zero, and not where it leads away.
    "cautious decay": (schuss.CautiousDecay(0.5), [[0.25, 0.25]], [0.25, -2.25]),
    # So does what the step leaves where it is, as in the paper.
    "cautious decay of what rests": (schuss.CautiousDecay(0.5), [[0.0, 0.25]], [0.5, -2.25]),
}


@pytest.mark.parametrize("case", STEPS)
def test_steps_worked_by_hand(case):
    transform, grads, expected, *start = STEPS[case]
    found, _, _ = after([transform], grads, *start)
    assert found == pytest.approx(expected, abs=2e-6)


def test_cautious_drops_what_points_against_the_gradient_and_goes_further_with_the_rest():
    # The buffer is (2, 2), then (2, 2) * 0.5 + (1, -3) = (2, -2); nothing points against it.
    # Then (2, -2) * 0.5 + (-0.5, -1) = (0.5, -2): the first does, the second counts twice.
    grads = [[2.0, 2.0], [1.0, -3.0], [-0.5, -1.0]]
    found, _, _ = after([schuss.Cautious()], grads, (0.0, 0.0), momentum=0.5)
    assert found == [-4.0, 4.0]


def test_the_mean_of_the_weights_follows_them():
    _, state, _ = after([schuss.EMA(0.5)], [[1.0], [1.0]], (0.0,))
    assert state["ema"].tolist() == [-1.25]  # 0, -0.5, then the mean of that and -2
    _, state, _ = after([schuss.EMA(0.5, ema_warmup=True)], [[1.0]], (0.0,))
    assert state["ema"].tolist() == pytest.approx([-9 / 11])  # d = 2 / 11


def test_a_step_that_is_not_finite_is_skipped_whole_and_counted():
    grads = [[1.0, 1.0], [float("nan"), 1.0], [1.0, float("inf")], [1.0, 1.0]]
    for engine in ({"fused": False}, {"foreach": True}, {"fused": True}):
        found, _, group = after([schuss.SkipNonFinite()], grads, momentum=0.5, **engine)
        expected, _, _ = after([], [grads[0], grads[3]], momentum=0.5)
        assert found == expected
        assert group["skipped_steps"] == 2


def test_noise_has_the_variance_of_its_step_and_repeats_with_the_seed():
    ends = []
    for _ in range(2):
        torch.manual_seed(0)
        param = nn.Parameter(torch.zeros(100_000))
        optimizer = schuss.SGD(
            [param], lr=1.0, transforms=[schuss.GradientNoise(0.04, 1.0)], fused=True
        )
        deviations = []
        for _ in range(4):
            before = param.detach().clone()
            param.grad = torch.zeros_like(param)
            optimizer.step()
            deviations.append(float((param.detach() - before).std()))
        ends.append(param.detach().clone())
    assert torch.equal(ends[0], ends[1])
    # 0.2 / sqrt(1 + t); the deviation of 1e5 draws is known to 0.3 percent.
    assert deviations == pytest.approx([0.2, 0.2 / 2**0.5, 0.2 / 3**0.5, 0.1], rel=0.02)


def test_the_global_norm_is_that_of_torch():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 4), nn.Linear(5, 4)
    theirs.load_state_dict(ours.state_dict())
    optimizer = schuss.AdamW(ours.parameters(), transforms=[schuss.ClipByGlobalNorm(0.1)])
    reference = torch.optim.AdamW(theirs.parameters())
    for _ in range(20):
        x = torch.randn(8, 5)
        for model in (ours, theirs):
            model.zero_grad()
            model(x).square().sum().backward()
        before = [torch.clone(param.grad) for param in ours.parameters()]
        optimizer.step()
        assert all(torch.equal(p.grad, g) for p, g in zip(ours.parameters(), before, strict=True))
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.1)
        reference.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_transforms_are_applied_in_their_order():
    # Clipped and then amplified is not amplified and then clipped.
    clip, amplify = schuss.ClipByNorm(1.0), schuss.Grokfast(0.5, 1.0)
    assert after([clip, amplify], [[4.0]], (0.0,))[0] == pytest.approx([-2.0], abs=1e-5)
    assert after([amplify, clip], [[4.0]], (0.0,))[0] == pytest.approx([-1.0], abs=1e-5)


def test_what_is_measured_is_the_gradient_of_the_transforms_before():
    for engine in ({"fused": False}, {"foreach": True}, {"fused": True}):
        order = [schuss.Grokfast(0.5, 1.0), schuss.ClipByGlobalNorm(1.0)]
        found, state, _ = after(order, [[4.0], [2.0]], (0.0,), **engine)
        assert found == pytest.approx([-2.0], abs=1e-5)
        assert state["grokfast_avg"].tolist() == [3.0]  # taken in once a step


def test_a_global_norm_after_a_global_norm_is_measured_again():
    class Second(schuss.ClipByGlobalNorm):
        def measure(self, state, group, grad, param):
            return {"second": grad.square().sum()}

        def gradient(self, state, group, grad, param):
            return grad / group["sums_over_all"]["second"].sqrt()

    chained = type(
        "Chained",
        (Second,),
        {
            "__init__": lambda self: Transform.__init__(self, own=1),
            "check_group": lambda self, group: None,
        },
    )()
    found, _, _ = after([schuss.ClipByGlobalNorm(2.0), chained], [[30.0, 40.0]], (0.0, 0.0))
    assert found == pytest.approx([-0.6, -0.8])


ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize(
    ("order", "engine"), in_turn(ORDERS if EXHAUSTIVE else ORDERS[1:6:3], ENGINES), ids=str
)
def test_many_at_once_take_the_path_of_the_loop(order, engine):
    three = [schuss.SkipNonFinite(), schuss.ClipByGlobalNorm(1.0), schuss.Grokfast()]
    chain = [three[place] for place in order]
    chain += [schuss.Cautious(), schuss.TrustRatio(), schuss.EMA(), schuss.Lookahead()]
    create = partial(created_by, chain)
    expected = trajectory(partial(create, foreach=False), Training(steps=30))
    found = trajectory(partial(create, **{engine: True}), Training(steps=30))
    assert distance(found, expected) <= TOLERANCE[torch.float64]


def created_by(chain, params, **options):
    return created(params, *chain, name="nadam", **options)


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize(("name", "engine"), in_turn(EVERY, ENGINES))
def test_every_optimizer_takes_them(name, engine):
    (info,) = schuss.list_optimizers(name)
    writes_its_step = info.cls.step_param is not schuss.Optimizer.step_param
    chain = [schuss.ClipByGlobalNorm(1.0), schuss.EMA()]
    if not writes_its_step:
        chain.append(schuss.Cautious())
    ends = []
    for options in (ON["loop"], on(ON[engine], name)):
        param = nn.Parameter(fitting(name, torch.tensor([1.0, -2.0])))
        optimizer = created([param], *chain, name=name, **options)
        for grad in ([3.0, 1.0], [-1.0, 0.5]):
            param.grad = fitting(name, torch.tensor(grad))
            optimizer.step()
        ends.append(torch.stack([param.detach(), optimizer.state[param]["ema"]]))
    torch.testing.assert_close(ends[1], ends[0])


def test_the_order_of_a_step_is_shown():
    param = nn.Parameter(torch.ones(1))
    chain = [schuss.Cautious(), schuss.ClipByValue(2.0), schuss.EMA(0.9)]
    assert (
        "step: gradient -> ClipByValue(max_grad_value=2.0) -> "
        "WeightDecay(0.0, weight_decouple=False, absolute=False) -> Adam -> "
        "Cautious(cautious=True) -> parameter -> EMA(ema_decay=0.9, ema_warmup=False)"
    ) in repr(schuss.Adam([param], transforms=chain))


def test_what_a_chain_does_can_be_explained_before_the_first_step():
    param = nn.Parameter(torch.ones(3))
    chain = [schuss.ClipByGlobalNorm(1.0), schuss.EMA()]
    (cohort,) = schuss.AdamW([param], transforms=chain).explain().cohorts
    assert cohort.engine == "fused"
    # The gradient for its norm; then 4 numbers to read, with the mean 5, of which 4 are written.
    assert (cohort.passes, cohort.bytes_per_number) == (2, 4 * (1 + 5 + 4))


class OwnStep(schuss.Optimizer):
    def step_param(self, state, group, grad, param):
        param.sub_(grad)


def test_bad_chains_are_refused():
    param = nn.Parameter(torch.ones(1))
    with pytest.raises(TypeError, match="OwnStep has a step_param of its own, and no update"):
        OwnStep([param], {"lr": 1.0}, transforms=[schuss.Cautious()])  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="share 'EMA'; an optimizer takes one of a kind"):
        created([param], schuss.EMA(), schuss.EMA(0.5))
    with pytest.raises(TypeError, match=r"which is no Transform; give instances, as in"):
        created([param], schuss.EMA)
    with pytest.raises(ValueError, match="max_grad_norm must be at least 0"):
        created([{"params": [param], "max_grad_norm": -1.0}], schuss.ClipByGlobalNorm())


def test_a_rule_that_writes_its_own_step_takes_the_other_transforms():
    param = nn.Parameter(torch.zeros(2))
    chain = [schuss.ClipByValue(0.5), schuss.EMA(0.5)]
    optimizer = OwnStep([param], {"lr": 1.0}, transforms=chain)  # type: ignore[call-arg]
    param.grad = torch.tensor([2.0, 0.25])
    optimizer.step()
    assert param.tolist() == [-0.5, -0.25]
    assert optimizer.state[param]["ema"].tolist() == [-0.25, -0.125]


class Named(OwnStep):
    def init_state(self, state, group, param):
        state.update(kind="a word", nothing=None)


def test_state_that_is_no_number_is_let_through_a_measuring_pass():
    param = nn.Parameter(torch.zeros(2))
    optimizer = Named([param], {"lr": 1.0}, transforms=[schuss.EMA(), schuss.ClipByGlobalNorm(1)])  # type: ignore[call-arg]
    param.grad = torch.tensor([3.0, -4.0])
    optimizer.step()
    assert param.tolist() == pytest.approx([-0.6, 0.8])

"""The plan of a group's step: which engine takes it, what is remembered, and what is refused."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from schuss.contract import Batch, Work
from schuss.engines.cohorts.contents import Needs
from schuss.engines.errors import UnfusableError
from schuss.engines.groups import options_of
from schuss.engines.kernels.fused import FusedBatch
from schuss.engines.known import Known
from schuss.engines.planning import Planned, Planner
from schuss.engines.tracing.replay import Replays


class Plain:
    """An optimizer as far as plans go, without state of its own."""

    def begin_state(self, state, group, param):
        pass

    def check_listed(self):
        pass

    def sparse_obstacle(self, group):
        return None


OPTIMIZER = Plain()


def descending(state, group, grad, param):
    param.sub_(grad, alpha=group["lr"])


def sampling(state, group, grad, param):
    """Move by the value of a tensor, which no program has."""
    param.sub_(grad, alpha=grad.max().item())


def by_shape(state, group, grad, param):
    param.sub_(grad, alpha=1.0 / param.shape[0])


def group_of(*params, lr=0.5, **options):
    engines = {"fused": None, "foreach": None, "differentiable": False}
    others = {
        "maximize": False,
        "master_weights": False,
        "capturable": False,
        "state_storage": None,
    }
    return {"params": list(params), "lr": lr, **engines, **others, **options}


def parameter(*shape, **options):
    param = nn.Parameter(torch.ones(shape, **options))
    param.grad = torch.full_like(param, 0.25)
    return param


def batch_of(group):
    params = [param for param in group["params"] if param.grad is not None]
    return Batch(group, params, [param.grad for param in params])


def planner_for(rule, group, **states):
    """Return a planner, with states by the positions of the parameters in their group.

    A parameter without a gradient has no state, if none is given.
    """
    given = {param: states.get(f"of_{at}") for at, param in enumerate(group["params"])}
    found = {p: s or {} for p, s in given.items() if s is not None or p.grad is not None}
    return Planner(OPTIMIZER, Work(rule), found)


def planned(rule, group, known=None, **states):
    """Plan a step on the fastest engine, and return the plan."""
    known = known or Known(group["params"])
    return planner_for(rule, group, **states).on_fastest(known, batch_of(group))


def taken(plan):
    for call in plan.calls:
        call()


@pytest.mark.parametrize("engine", ["foreach", "loop"])
def test_a_plan_writes_nothing_until_it_is_taken(engine):
    group = group_of(parameter(3), foreach=engine == "foreach", fused=False)
    (param,) = group["params"]
    plan = planned(descending, group)
    assert plan.engine == engine
    assert param.tolist() == [1.0] * 3
    taken(plan)
    assert param.tolist() == [0.875] * 3


def test_a_group_without_a_gradient_has_nothing_to_call():
    param = parameter(3)
    param.grad = None
    assert planned(sampling, group_of(param, fused=True)) == Planned("loop")


@pytest.mark.parametrize("engine", ["fused", "foreach"])
def test_an_engine_that_was_asked_for_and_cannot_is_an_error(engine):
    known = Known([])
    match = rf"Plain with {engine}=True: .*Tensor.item.*; leave {engine} out"
    with pytest.raises(RuntimeError, match=match):
        planned(sampling, group_of(parameter(3), **{engine: True}), known)
    assert known.passed_over == {}


def test_engines_that_cannot_are_passed_over_and_said_once():
    group = group_of(parameter(3))
    known = Known(group["params"])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert planned(sampling, group, known).engine == "loop"
        known.look_again("something else")
        assert planned(sampling, group, known).engine == "loop"
    (one,) = said
    assert "Plain cannot run a parameter group on the fastest engine" in str(one.message)
    assert known.passed_over.keys() == {"fused", "foreach", "stacked"}


def test_a_device_without_kernels_is_no_reason_for_a_warning():
    group = group_of(parameter(3, device="meta"))
    known = Known(group["params"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert planned(descending, group, known).engine == "foreach"
    assert known.passed_over == {"fused": "there is no kernel for device meta"}


def asked_for(monkeypatch, rule, group, known):
    """Return which engines are tried for a step."""
    tried = []
    on = Planner.on

    def watched(self, name, *rest):
        tried.append(name)
        return on(self, name, *rest)

    monkeypatch.setattr(Planner, "on", watched)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        planned(rule, group, known)
    monkeypatch.setattr(Planner, "on", on)
    return tried


def grown(group):
    group["params"][0].data = torch.ones(5)
    group["params"][0].grad = torch.ones(5)


ALL = ["fused", "foreach", "stacked", "loop"]


@pytest.mark.parametrize(
    ("edit", "tried"),
    [
        (lambda group: None, ["loop"]),
        (lambda group: group.update(lr=0.125), ["loop"]),  # another number of the same type
        (lambda group: group.update(lr=torch.tensor(0.5)), ALL),
        (lambda group: group.update(maximize=True), ALL),
        (lambda group: group["params"].append(parameter(2)), ALL),
        (grown, ALL),
    ],
    ids=["nothing", "a number", "a type", "an option", "a parameter", "a shape"],
)
def test_engines_are_tried_again_when_they_are_asked_for_something_else(monkeypatch, edit, tried):
    group = group_of(parameter(3))
    known = Known(group["params"])
    assert asked_for(monkeypatch, sampling, group, known) == ALL
    edit(group)
    assert asked_for(monkeypatch, sampling, group, known) == tried


def test_engines_are_tried_again_for_another_rule(monkeypatch):
    group = group_of(parameter(3, device="meta"))
    known = Known(group["params"])
    assert asked_for(monkeypatch, descending, group, known) == ["fused", "foreach"]
    assert asked_for(monkeypatch, descending, group, known) == ["foreach"]
    assert asked_for(monkeypatch, sampling, group, known) == ALL


def test_a_rule_that_reads_shapes_is_planned_for_each_shape():
    group = group_of(parameter(2), parameter(4), parameter(2), foreach=True)
    known = Known(group["params"])
    plan = planned(by_shape, group, known)
    assert known.needs == Needs(dims=True, shapes=True)
    assert [len(piece.cohort.params) for piece in plan.pieces] == [2, 1]
    taken(plan)
    assert [p[0].item() for p in group["params"]] == [1 - 0.125, 1 - 0.0625, 1 - 0.125]


def test_needs_that_keep_a_rule_from_an_engine_are_found_anew():
    group = group_of(parameter(12), foreach=True)
    known = Known(group["params"])
    known.needs = Needs(dims=True, along=True, heads=2)  # of a rule that is not this one
    plan = planned(descending, group, known, of_0={"mean": torch.ones(3, 1)})
    assert plan.engine == "foreach"
    assert known.needs.heads == 3


@pytest.mark.parametrize(("engine", "recorded"), [("foreach", 0), ("fused", 1)])
def test_only_what_is_kept_for_the_next_step_is_recorded(monkeypatch, engine, recorded):
    replayed = []
    trace = Replays.trace

    def watched(self, *arguments):
        replayed.append(self)
        return trace(self, *arguments)

    monkeypatch.setattr(Replays, "trace", watched)
    group = group_of(parameter(3), **{engine: True})
    planner = Planner(OPTIMIZER, Work(descending, pure="a rule"), {group["params"][0]: {}})
    assert planner.on(engine, Known(group["params"]), batch_of(group)).engine == engine
    assert len(replayed) == recorded


@pytest.mark.parametrize("engine", ["foreach", "loop"])
@pytest.mark.parametrize("shared", ["param", "state"])
def test_a_gradient_in_memory_that_a_step_writes_to_is_read_before(engine, shared):
    first, second = parameter(2), parameter(2)
    state = {"sum": torch.ones(2)}

    def rule(state, group, grad, param):
        if "sum" in state:
            state["sum"].add_(1)
        param.sub_(grad)

    second.grad = first.detach() if shared == "param" else state["sum"]
    group = group_of(first, second, foreach=engine == "foreach", fused=False)
    taken(planned(rule, group, of_0=state))
    assert first.tolist() == [0.75, 0.75]
    assert second.tolist() == [0.0, 0.0]  # not what the first has become


def sparse(*shape):
    return torch.ones(shape).to_sparse()


def test_parameters_whose_turn_it_is_not_are_kept_beside_the_others():
    stepped, resting, new, odd, sparsely = (parameter(2) for _ in range(5))
    for param in (resting, new, odd):
        param.grad = None
    sparsely.grad = sparse(2)
    group = group_of(stepped, resting, new, odd, sparsely, fused=True)
    states = {f"of_{at}": {"n": 1} for at in (0, 1, 3, 4)}
    states["of_3"]["x"] = sparse(2)
    planner = planner_for(descending, group, **states)
    plan = planner.on_fastest(Known(group["params"]), Batch(group, [stepped], [stepped.grad]))
    (piece,) = plan.pieces
    # A new one has no state yet, and no kernel takes what is sparse.
    assert [id(p) for p in piece.cohort.params] == [id(stepped), id(resting)]
    assert piece.kernel is not None
    assert plan.bound.cohorts == [piece.cohort]


def test_a_warning_names_the_group_that_has_the_list_of_parameters():
    first, second = group_of(parameter(2)), group_of(parameter(2))
    optimizer = SimpleNamespace(param_groups=[first, second])
    known = Known(second["params"])
    with pytest.warns(UserWarning, match="cannot run parameter group 1 on .*: why"):
        known.warn(optimizer, UnfusableError("why"))
    # A list with the same parameters is another one.
    known = Known(list(second["params"]))
    with pytest.warns(UserWarning, match="cannot run a parameter group on .*: why"):
        known.warn(optimizer, UnfusableError("why"))


class Bound(FusedBatch):
    """Parameters that are bound to memory, with cohorts that count what is asked of them."""

    def __init__(self, *, broken=False):
        self.broken = broken
        self.written = 0
        self.cohorts: list[Any] = [self, self]

    def is_broken(self):
        return self.broken

    def write_scalars(self):
        self.written += 1


def test_a_group_is_bound_while_nothing_breaks_it_and_its_options_stay():
    group = group_of(parameter(2))
    known = Known(group["params"])
    assert not known.is_bound_for(group)
    known.bound, known.options = Bound(), options_of(group)
    assert known.is_bound_for(group)
    group["lr"] = 0.125
    assert known.is_bound_for(group)
    for key in ("fused", "foreach", "differentiable", "master_weights"):
        assert not known.is_bound_for({**group, key: True})
    known.bound = Bound(broken=True)
    assert not known.is_bound_for(group)


def test_numbers_are_written_for_all_cohorts_of_a_group_that_is_bound():
    known = Known([])
    known.write_scalars()
    known.bound = bound = Bound()
    known.write_scalars()
    assert bound.written == 2

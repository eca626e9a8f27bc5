"""The order of things in a step, with an engine that writes down the rules that it is given."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import torch
from torch import Tensor

from schuss import SAM, Accumulate, SkipNonFinite, WeightDecay
from schuss.domains import Domains
from schuss.engines import CompiledSteps
from schuss.evaluation import Evaluation
from schuss.groupchecks import GroupChecks
from schuss.hyperparameters import OPTION_DEFAULTS
from schuss.stepped import for_all, takes_scaled_gradients
from schuss.stepping import Steps
from schuss.transforms.chain import Chain
from schuss.transforms.measured import HELD_ONLY


class Recorder:
    """An engine that runs nothing, and writes down the names of rules and measurements."""

    is_exposed = False

    def __init__(self, events: list[Any], sums: dict[str, Tensor]) -> None:
        self.events = events
        self.sums = sums
        self.states: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.scale: object = None

    def exposed_state(self):
        return self.states

    def measured(self, optimizer, passes, groups, scale):
        self.events.extend(["measure"] * len(passes))
        return [{**group, "sums_over_all": self.sums} for group in groups]

    def run(self, optimizer, rules, groups, scale=None, verdict=None):
        self.events.extend(rule.__name__ for rule, _ in rules)
        self.scale = scale
        return True


def rule(state, group, grad, param):
    raise AssertionError  # the engine of these tests calls no rule


class Subject:
    """An optimizer of one parameter, with the parts that a step calls."""

    weight_decay = WeightDecay()
    group_domains = Domains()
    grad_scale: Tensor | None = None
    found_inf: Tensor | None = None

    def __init__(self, *transforms, measures=(), sums=None):
        self.events: list[Any] = []
        self.param: Any = torch.tensor([1.0])
        self.param.grad = torch.tensor([1.0])
        self.chain: Any = Chain(transforms)
        self.transforms = self.chain.transforms
        self.defaults = {**OPTION_DEFAULTS, "lr": 0.5, **self.chain.defaults()}
        self.param_groups = [{"params": [self.param], **self.defaults}]
        self.measures = list(measures)
        self.overridden = {"summed"}
        self.rule = rule
        self.evaluation = Evaluation()
        self.engine: Any = Recorder(self.events, sums or {})
        parts = (GroupChecks(), self.evaluation, CompiledSteps(), self.engine)
        self.steps = Steps(self.chain, *parts)

    def check_group(self, group):
        self.events.append("check")

    def check_parameters(self, group):
        pass

    def algorithm_of(self, group):
        return self

    def passes(self):
        return for_all(self.measures, self.param_groups)

    def whole_rule(self):
        return self.rule

    def overrides(self, method):
        return method in self.overridden

    def projects(self):
        return False

    def summed(self, groups):
        self.events.append("summed")

    def take(self, closure=None):
        """Take a step, and return what happened in it."""
        self.events.clear()
        self.steps.take(self, closure)
        return list(self.events)


def test_groups_are_checked_before_the_closure_and_what_it_changed_after_it():
    subject = Subject()

    def closure():
        subject.events.append(f"closure, gradients {torch.is_grad_enabled()}")
        subject.param_groups[0]["lr"] = 0.25
        return 2.0

    with torch.no_grad():
        assert subject.take(closure) == ["check", "closure, gradients True", "check", "rule"]
        assert subject.steps.take(subject, lambda: 3.0) == 3.0
    assert subject.take() == ["rule"]


def test_sums_reach_the_optimizer_between_the_measurements_and_the_rule():
    def measure(state, group, grad, param):
        raise AssertionError

    subject = Subject(measures=[measure, measure])
    assert subject.take() == ["check", "measure", "measure", "summed", "rule"]
    assert subject.steps.is_decided_on_the_host(subject)
    assert Subject().take() == ["check", "rule"]  # without measurements there are no sums


def test_no_step_is_taken_while_evaluating():
    subject = Subject()
    subject.evaluation.is_on = True
    with pytest.raises(RuntimeError, match="Subject cannot step while evaluating"):
        subject.take(lambda: subject.events.append("closure"))
    assert subject.events == []


def test_a_scaler_that_found_an_infinity_takes_the_step_away():
    subject = Subject()
    subject.grad_scale, subject.found_inf = torch.tensor(4.0), torch.tensor(0.0)
    assert subject.take() == ["check", "rule"]
    assert subject.engine.scale == 4.0
    subject.found_inf = torch.tensor(1.0)
    assert subject.take() == []


@pytest.mark.parametrize(("total", "events"), [(0.0, ["summed", "rule"]), (float("nan"), [])])
def test_a_transform_may_skip_the_step_for_its_sums(total, events):
    sums = {"not_finite": torch.tensor(total)}
    subject = Subject(SkipNonFinite(), measures=[SkipNonFinite().measure], sums=sums)
    assert subject.take() == ["check", "measure", *events]
    assert subject.param_groups[0]["skipped_steps"] == int(not events)


def test_gradients_are_held_back_and_the_last_call_is_the_step():
    subject = Subject(Accumulate(3))
    assert subject.take() == ["check", "hold"]
    assert subject.take()[-1:] == ["hold"]
    assert subject.take()[-1:] == ["rule"]
    assert subject.take()[-1:] == ["hold"]


def test_a_gradient_that_was_held_back_is_due_without_a_new_one():
    subject = Subject(Accumulate(2))
    subject.take()
    (transform,) = subject.transforms
    state = subject.engine.states[subject.param]
    transform.init_state(state, subject.param_groups[0], subject.param)
    transform.hold(state, subject.param_groups[0], torch.tensor([1.0]), subject.param)
    subject.param.grad = None
    seen: list[Any] = []
    subject.engine.run = lambda *_: seen.append((subject.param.grad.item(), state[HELD_ONLY]))
    subject.take()
    assert seen == [(0.0, True)]
    assert subject.param.grad is None
    assert HELD_ONLY not in state


def test_a_climb_needs_a_closure_and_asks_it_for_a_second_gradient():
    subject = Subject(SAM())
    with pytest.raises(RuntimeError, match=r"SAM.* needs the gradient of a second point"):
        subject.take()
    assert "rule" not in subject.events
    events = subject.take(lambda: subject.events.append("closure"))
    assert [each for each in events if each != "measure"] == ["closure", "climb", "closure", "rule"]


def test_parameters_return_from_a_climb_that_fails():
    subject, returned = Subject(SAM()), []
    subject.chain.return_from_climb = lambda state, param: returned.append(param)
    calls = iter([None, KeyboardInterrupt])

    def closure():
        error = next(calls)
        if error is not None:
            raise error

    with pytest.raises(KeyboardInterrupt):
        subject.take(closure)
    assert returned == [subject.param]
    assert "rule" not in subject.events


def test_a_step_that_nobody_decides_about_is_one_graph():
    subject = Subject()
    subject.overridden.clear()
    assert not subject.steps.is_decided_on_the_host(subject)
    subject.found_inf = torch.tensor(0.0)
    assert subject.steps.is_decided_on_the_host(subject)
    for transform in (SAM(), Accumulate(2), SkipNonFinite()):
        subject = Subject(transform)
        subject.overridden.clear()
        assert subject.steps.is_decided_on_the_host(subject)


def test_a_scaler_hands_over_its_scale_for_a_fused_group_and_for_float16():
    def group(fused, dtype):
        return {"fused": fused, "params": [torch.zeros(1, dtype=dtype)]}

    assert not takes_scaled_gradients([group(None, torch.float32), group(False, torch.bfloat16)])
    assert takes_scaled_gradients([group(None, torch.float32), group(True, torch.float32)])
    assert takes_scaled_gradients([group(None, torch.float32), group(None, torch.float16)])

"""An algorithm by itself: one parameter, and neither an optimizer nor an engine around it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from schuss import Cautious, ClipByNorm, WeightDecay
from schuss.algorithm import Algorithm
from schuss.transforms import Transform

GROUP = {
    "lr": 0.5,
    "weight_decay": 0.0,
    "decoupled_weight_decay": False,
    "absolute_weight_decay": False,
}


class Descent(Algorithm):
    """Gradient descent that counts its steps."""

    def init_state(self, state, group, param):
        state["step"] = 0

    def update(self, state, group, grad, param):
        return grad


class Traced(Transform):
    """Writes down when its methods are called, and changes what it is given by a factor."""

    def __init__(self, events):
        super().__init__()
        self.events = events

    def gradient(self, state, group, grad, param):
        self.events.append(("gradient", grad.item()))
        return grad * 2

    def update(self, state, group, update, grad, param):
        self.events.append(("update", update.item(), grad.item()))
        return update * 10

    def parameter(self, state, group, param):
        self.events.append(("parameter", param.item()))


def test_a_rule_counts_the_step_and_moves_the_parameter():
    algorithm, param = Descent(WeightDecay(), ()), torch.tensor([1.0])
    state: dict[str, Any] = {}
    algorithm.init_state(state, GROUP, param)
    algorithm.whole_rule()(state, GROUP, torch.tensor([3.0]), param)
    assert state == {"step": 1}
    assert param.item() == 1 - 0.5 * 3


def test_the_decay_and_the_transforms_surround_the_rule_in_their_order():
    events: list[Any] = []
    algorithm = Descent(WeightDecay(), [Traced(events)])
    param, group = torch.tensor([1.0]), {**GROUP, "weight_decay": 0.25}
    algorithm.whole_rule()({"step": 0}, group, torch.tensor([3.0]), param)
    # The decay is added to the gradient: 2 * 3 + 0.25 * 1; and 1 - 0.5 * 10 * 6.25.
    assert events == [("gradient", 3.0), ("update", 6.25, 6.0), ("parameter", -30.25)]


def test_what_depends_on_the_parameter_reaches_the_decay_too():
    class Halved(Descent):
        def group_for(self, state, group, param):
            return {**group, "lr": group["lr"] / 2}

    algorithm, param = Halved(WeightDecay(), ()), torch.tensor([1.0])
    group = {**GROUP, "weight_decay": 0.5, "decoupled_weight_decay": True}
    algorithm.whole_rule()({}, group, torch.tensor([1.0]), param)
    assert param.item() == 1 * (1 - 0.25 * 0.5) - 0.25


def test_an_algorithm_without_a_rule_or_with_one_that_transforms_cannot_surround_is_refused():
    class Nothing(Algorithm):
        pass

    class Whole(Algorithm):
        def step_param(self, state, group, grad, param):
            param.sub_(grad)

    with pytest.raises(TypeError, match="Nothing has no rule: override update"):
        Nothing(WeightDecay(), ())
    with pytest.raises(TypeError, match="Whole has a step_param of its own, and no update that"):
        Whole(WeightDecay(), [Cautious()])


def test_measurements_are_those_of_the_class_and_of_its_transforms():
    class Measuring(Descent):
        def measure(self, state, group, grad, param):
            return {"sum": grad.sum()}

    assert Descent(WeightDecay(), ()).measurements() == []
    (measure,) = Measuring(WeightDecay(), ()).measurements()
    assert measure({}, GROUP, torch.tensor([1.0, 2.0]), torch.zeros(2)) == {"sum": 3.0}
    assert not Descent(WeightDecay(), ()).overrides("measure")
    assert Measuring(WeightDecay(), ()).overrides("measure")


def test_the_weights_to_evaluate_with_are_those_of_the_last_transform_that_has_any():
    class Plus(Transform):
        def evaluated(self, state, group, param):
            return param + 1

    param = torch.zeros(1)
    plain = Descent(WeightDecay(), [ClipByNorm(1.0)])
    assert not plain.has_other_weights()
    assert plain.evaluated({}, GROUP, param) is param
    other = Descent(WeightDecay(), [Plus(), ClipByNorm(1.0)])
    assert other.has_other_weights()
    assert other.evaluated({}, GROUP, param).item() == 1.0


def test_sparse_gradients_are_for_the_class_whose_rule_says_so():
    class Sparse(Descent):
        takes_sparse_gradients = True

    class Renamed(Sparse):
        pass

    class Other(Sparse):
        def update(self, state, group, grad, param):
            return grad.abs()

    assert "please consider SparseAdam" in str(Descent(WeightDecay(), ()).sparse_obstacle(GROUP))
    assert Sparse(WeightDecay(), ()).sparse_obstacle(GROUP) is None
    assert Renamed(WeightDecay(), ()).sparse_obstacle(GROUP) is None
    assert Other(WeightDecay(), ()).sparse_obstacle(GROUP) is not None


def test_what_changes_gradients_is_in_the_way_of_sparse_ones():
    class Sparse(Descent):
        takes_sparse_gradients = True

    clipped = Sparse(WeightDecay(), [ClipByNorm(1.0)])
    message = "ClipByNorm(max_param_grad_norm=1.0) does not support sparse gradients"
    assert message in str(clipped.sparse_obstacle(GROUP))
    decayed = {**GROUP, "weight_decay": 0.1}
    algorithm = Sparse(WeightDecay(), ())
    assert "weight_decay=0.1 is not compatible" in str(algorithm.sparse_obstacle(decayed))
    decoupled = {**decayed, "decoupled_weight_decay": True}
    assert algorithm.sparse_obstacle(decoupled) is None

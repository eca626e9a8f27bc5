"""Recipes: optimizers without parameters, and the parts that are made of them."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest
import torch

from schuss import SGD, Accumulate, AdamW, ClipByGlobalNorm, Composite, Lion
from schuss.composite import everything
from tests.composite.networks import network, train


def test_a_recipe_keeps_its_class_and_arguments_and_takes_no_step():
    recipe = AdamW(lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1)
    for each in (
        recipe,
        copy.copy(recipe),
        copy.deepcopy(recipe),
        pickle.loads(pickle.dumps(recipe)),
    ):
        assert type(each) is AdamW
        assert each.param_groups == []
        assert (each.defaults["lr"], each.defaults["betas"]) == (3e-4, (0.9, 0.95))
        with pytest.raises(RuntimeError, match="AdamW has no parameters: it is a recipe"):
            each.step()


def test_the_values_of_a_recipe_are_checked_when_it_is_made():
    with pytest.raises(ValueError, match="Invalid learning rate: -1; lr must be at least 0"):
        AdamW(lr=-1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'learning_rate'"):
        AdamW(learning_rate=1e-3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="empty parameter list"):
        AdamW([], lr=1e-3)  # a list that is empty by mistake


def test_a_recipe_with_a_group_is_an_optimizer():
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    optimizer = SGD(lr=0.25)
    optimizer.add_param_group({"params": [weight]})
    optimizer.step()
    assert weight.item() == 0.75


def test_a_recipe_serves_several_composites_and_stays_as_it_is():
    recipe = AdamW(lr=1e-2)
    models = [network(), network()]
    made = [Composite(m, hidden=recipe, rest=recipe, foreach=False) for m in models]
    made[0].param_groups[0]["lr"] = 0.5
    train(models[0], made[:1], steps=1)
    assert made[1].param_groups[0]["lr"] == 1e-2
    assert (recipe.param_groups, recipe.defaults["foreach"]) == ([], None)
    assert "algorithm" not in recipe.defaults


def refused(error: type[Exception], message: str, **parts: Any) -> None:
    route = [(name, everything) for name in parts]
    with pytest.raises(error, match=re.escape(message)):
        Composite(network(), route=route, **parts)


def test_what_is_no_recipe_is_refused():
    model = network()
    refused(TypeError, "it must be an optimizer of schuss without parameters", rest=AdamW)
    theirs = torch.optim.AdamW(model.parameters())
    refused(TypeError, "as in rest=AdamW(lr=3e-4)", rest=theirs)
    ours = Lion(model.parameters())
    refused(ValueError, "the part 'rest' is an optimizer of the class Lion that has", rest=ours)
    refused(TypeError, "Composite has no parts; give recipes by name")


def test_a_part_has_no_transform_that_decides_for_others():
    recipe = SGD(lr=0.1, transforms=[Accumulate(2)])
    refused(ValueError, "'rest' has the transform Accumulate(", rest=recipe)


def test_a_transform_is_around_all_parts_or_in_one():
    clip = ClipByGlobalNorm()
    with pytest.raises(ValueError, match=r"one of a kind \(part 'rest'\)"):
        Composite(
            network(),
            transforms=[clip],
            hidden=Lion(),
            rest=SGD(lr=0.1, transforms=[ClipByGlobalNorm(2.0)]),
        )

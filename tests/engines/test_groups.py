"""Groups as an engine takes them: which engines they ask for, and who has a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import SGD, AdamW
from schuss.engines.groups import apart, filled, wanted, with_gradient

ALL = ("fused", "foreach", "stacked", "loop")


@pytest.mark.parametrize(
    ("fused", "foreach", "engines"),
    [
        (None, None, ALL),
        (True, None, ("fused",)),
        (None, True, ("foreach",)),
        (True, False, ("fused",)),
        (False, True, ("foreach",)),
        (False, None, ("loop",)),
        (None, False, ("loop",)),
        (False, False, ("loop",)),
    ],
)
def test_an_engine_that_is_asked_for_is_the_only_one(fused, foreach, engines):
    group = {"fused": fused, "foreach": foreach, "differentiable": False, "capturable": False}
    assert wanted(group) == engines
    assert wanted({**group, "differentiable": True}) == ("loop",)


def optimizer_of(*params, **options):
    optimizer = SGD(params, **options)
    (group,) = optimizer.param_groups
    return optimizer, group


def with_grad(shape, grad):
    param = nn.Parameter(torch.zeros(shape))
    param.grad = grad
    return param


def test_parameters_without_a_gradient_are_left_out_and_those_without_numbers_on_demand():
    params = [with_grad(2, torch.ones(2)), with_grad(3, None), with_grad(0, torch.ones(0))]
    batch = with_gradient(*optimizer_of(*params))
    assert [id(param) for param in batch.params] == [id(params[0]), id(params[2])]
    assert [id(grad) for grad in batch.grads] == [id(params[0].grad), id(params[2].grad)]
    left = filled(batch)
    assert [id(param) for param in left.params] == [id(params[0])]
    assert [id(grad) for grad in left.grads] == [id(params[0].grad)]
    assert left.group is batch.group


def test_sparse_gradients_are_apart_with_their_parameters():
    params = [with_grad(2, torch.ones(2)), with_grad(2, torch.ones(2).to_sparse())]
    batch = with_gradient(*optimizer_of(*params))
    dense, sparse = apart(batch)
    assert [id(param) for param in dense.params] == [id(params[0])]
    assert [id(param) for param in sparse.params] == [id(params[1])]
    assert sparse.grads[0].is_sparse
    assert dense.group is sparse.group is batch.group


def reshaped(param):
    param.grad = torch.ones(2)
    param.grad.data = torch.ones(3)


def complex_(param):
    param.grad_dtype = None
    param.grad = torch.ones(2, dtype=torch.complex64)


def without_memory(param):
    param.grad = torch.ones(2)
    param.grad.untyped_storage().resize_(4)


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (reshaped, r"shape \(2,\) has shape \(3,\); compute it anew"),
        (complex_, r"shape \(2,\) is torch.complex64; take its real part"),
        (without_memory, r"shape \(2,\) has no memory, because its storage was resized"),
    ],
)
def test_a_gradient_that_no_rule_can_take_is_refused(break_, message):
    param = nn.Parameter(torch.zeros(2))
    break_(param)
    with pytest.raises(RuntimeError, match=rf"^SGD: .*{message}"):
        with_gradient(*optimizer_of(param))


@pytest.mark.parametrize(
    ("param", "options", "message"),
    [
        (torch.zeros(2, dtype=torch.complex64), {}, "sparse gradients of complex parameters"),
        (torch.zeros(2), {"fused": True}, "fused=True is not for sparse gradients; leave it out"),
        (torch.zeros(2), {"foreach": True}, "foreach=True is not for sparse gradients"),
    ],
)
def test_a_sparse_gradient_is_refused_with_the_reason(param, options, message):
    param = nn.Parameter(param)
    param.grad = torch.ones_like(param).to_sparse()
    with pytest.raises(RuntimeError, match=rf"^SGD: {message}.*has layout torch.sparse_coo"):
        with_gradient(*optimizer_of(param, **options))


def test_a_rule_that_does_not_take_sparse_gradients_says_so():
    param = with_grad(2, torch.ones(2).to_sparse())
    optimizer = AdamW([param])
    with pytest.raises(RuntimeError, match="^AdamW: .*sparse"):
        with_gradient(optimizer, optimizer.param_groups[0])

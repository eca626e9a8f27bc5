"""Parameter groups as an engine takes them: what they ask for, and who has a gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.contract import COUNTS, Batch, Group, Rule, Stateful, Work
from schuss.engines import capturing
from schuss.engines.memory import has_memory, is_within_storage
from schuss.storage.codecs.policy import frozen


def wanted(group: Group) -> tuple[str, ...]:
    """Return the engines that a group may run on, the fastest first."""
    if group["differentiable"]:
        return ("loop",)
    if group["fused"] or group["capturable"]:
        return ("fused",)
    if group["foreach"]:
        return ("foreach",)
    if group["fused"] is None and group["foreach"] is None:
        return ("fused", "foreach", "stacked", "loop")
    return ("loop",)


def name_of(optimizer: Stateful, group: Group) -> str:
    """Return how an error or a warning calls a group: by its number, if the optimizer has it."""
    groups = getattr(optimizer, "param_groups", [])
    at = [n for n, each in enumerate(groups) if each["params"] is group["params"]]
    return f"parameter group {at[0]}" if at else "a parameter group"


def with_gradient(optimizer: Stateful, group: Group) -> Batch:
    """Return the parameters that have a gradient.

    Raises:
        RuntimeError: A gradient is sparse, and the optimizer does not take it.
    """
    params = [param for param in group["params"] if param.grad is not None]
    grads = [param.grad for param in params]
    for param, grad in zip(params, grads, strict=True):
        if grad.layout is not torch.strided:
            _check_sparse(optimizer, group, param, grad)
        if grad.shape != param.shape:  # which torch refuses, but for `grad.data = ...`
            raise RuntimeError(
                f"{type(optimizer).__name__}: the gradient of a parameter of shape "
                f"{tuple(param.shape)} has shape {tuple(grad.shape)}; compute it anew"
            )
        if grad.is_complex() and not param.is_complex():
            raise RuntimeError(
                f"{type(optimizer).__name__}: the gradient of a real parameter of shape "
                f"{tuple(param.shape)} is {grad.dtype}; take its real part"
            )
        if not torch.compiler.is_compiling() and has_memory(grad) and not is_within_storage(grad):
            raise RuntimeError(
                f"{type(optimizer).__name__}: the gradient of a parameter of shape "
                f"{tuple(param.shape)} has no memory, because its storage was resized; compute it "
                "anew"
            )
    return Batch(group, params, grads)


def check_captured(optimizer: Stateful, groups: Sequence[Group]) -> None:
    """Refuse a step that is captured by a graph which could not repeat it.

    A graph repeats the work of one device, and nothing of the host. So every group that has a
    gradient must be on that device, and have been asked to keep its numbers there.

    Raises:
        RuntimeError: A group is not so. Nothing has been changed.
    """
    captured = capturing.captured_device()
    for group in groups if captured is not None else ():
        devices = {param.device for param in group["params"] if param.grad is not None}
        others = sorted(map(str, devices - {captured}))
        if others:
            why = f"is on {others[0]}: give it an optimizer of its own"
        elif devices and not group["capturable"]:
            why = "has numbers of Python, such as its step count: give it capturable=True"
        else:
            continue
        raise RuntimeError(
            f"{type(optimizer).__name__}: a graph repeats what it captures on {captured} alone, "
            f"and {name_of(optimizer, group)} {why}, or take the step outside of the graph"
        )


def filled(batch: Batch) -> Batch:
    """Return the parameters that have numbers."""
    pairs = zip(batch.params, batch.grads, strict=True)
    found = [(param, grad) for param, grad in pairs if param.numel()]
    return Batch(batch.group, [param for param, _ in found], [grad for _, grad in found])


def apart(batch: Batch) -> tuple[Batch, Batch]:
    """Return the parameters with a dense gradient, and those with a sparse one."""
    dense, sparse = (Batch(batch.group, [], []) for _ in range(2))
    for param, grad in zip(batch.params, batch.grads, strict=True):
        kind = sparse if grad.is_sparse else dense
        kind.params.append(param)
        kind.grads.append(grad)
    return dense, sparse


def _check_sparse(optimizer: Stateful, group: Group, param: Tensor, grad: Tensor) -> None:
    obstacle = optimizer.sparse_obstacle(group)
    engines = [name for name in ("fused", "foreach", "capturable") if group[name]]
    if obstacle is None and not grad.is_sparse:
        obstacle = "sparse gradients other than torch.sparse_coo are not supported"
    if obstacle is None and param.is_complex():
        obstacle = "sparse gradients of complex parameters are not supported"
    if obstacle is None and engines:
        obstacle = f"{engines[0]}=True is not for sparse gradients; leave it out"
    if obstacle is not None:
        raise RuntimeError(
            f"{type(optimizer).__name__}: {obstacle}; or let the gradients be dense, as "
            "Embedding(sparse=False) does (the gradient of a parameter of shape "
            f"{tuple(param.shape)} has layout {grad.layout})"
        )


def options_of(group: Group) -> object:
    """Return the options of a group that cohorts are made with."""
    execution = group["fused"], group["foreach"], group["differentiable"]
    kept = group["master_weights"], group.get("rounding"), frozen(group.get("state_storage"))
    return (*execution, *kept, group["capturable"])


def called_with(rule: Rule, group: Group) -> object:
    """Return a rule by its name, and a group's options; of a number that may vary, the type."""
    options = tuple(
        (key, value if isinstance(value, (bool, int, str, type(None))) else type(value))
        for key, value in group.items()
        if key not in COUNTS
    )
    return getattr(rule, "__qualname__", rule), options


def works_of(rules: Sequence[tuple[Rule, object]], grad_scale: float | Tensor | None) -> list[Work]:
    """Return the work of each group: one object for groups with one rule.

    Args:
        rules: The rule of each group, and what stands for it if it is repeated.
        grad_scale: The factor of the gradients, or None.
    """
    works: list[Work] = []
    before: object = None
    for each in rules:
        works.append(works[-1] if each is before else Work(each[0], grad_scale, each[1]))
        before = each
    return works

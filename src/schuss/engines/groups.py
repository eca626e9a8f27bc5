"""Parameter groups as an engine takes them: which engines they ask for, and who has a gradient."""

from __future__ import annotations

import torch

from schuss.contract import Batch, Group, Stateful


def wanted(group: Group) -> tuple[str, ...]:
    """Return the engines that a group may run on, the fastest first."""
    if group["differentiable"]:
        return ("loop",)
    if group["fused"]:
        return ("fused",)
    if group["foreach"]:
        return ("foreach",)
    if group["fused"] is None and group["foreach"] is None:
        return ("fused", "foreach", "loop")
    return ("loop",)


def with_gradient(optimizer: Stateful, group: Group) -> Batch:
    """Return the parameters that have a gradient.

    Raises:
        RuntimeError: A gradient is sparse.
    """
    params = [param for param in group["params"] if param.grad is not None]
    grads = [param.grad for param in params]
    for param, grad in zip(params, grads, strict=True):
        if grad.layout is not torch.strided:
            raise RuntimeError(
                f"{type(optimizer).__name__} does not support sparse gradients, please consider "
                f"SparseAdam instead (the gradient of a parameter of shape {tuple(param.shape)} "
                f"has layout {grad.layout})"
            )
    return Batch(group, params, grads)

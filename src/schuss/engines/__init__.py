"""Engines run one parameter's rule for all parameters.

`loop` calls the rule for each parameter in turn, with real tensors. It is the specification: any
other engine has to agree with it. `fused` traces the rule once and runs it for all of them as one
kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from schuss.contract import Batch, Group, Rule, Stateful
from schuss.engines import loop

__all__ = ["check_engine", "loop", "run"]


def check_engine(group: Group) -> None:
    """Refuse a group that asks for an engine or an execution mode that there is not.

    Raises:
        ValueError: `foreach` or `capturable` is True, or two flags contradict each other.
    """
    for flag in ("foreach", "capturable"):
        if group[flag]:
            raise ValueError(
                f"{flag}={group[flag]} asks for an engine that this version does not have; "
                f"leave {flag} out"
            )
    for flag in ("differentiable", "master_weights"):
        if group["fused"] and group[flag]:
            raise ValueError(f"fused=True has no kernel for {flag}=True yet; leave fused out")


def run(
    optimizer: Stateful, rule: Rule, batches: Sequence[Batch], grad_scale: Tensor | None
) -> None:
    """Run `rule` for every parameter, each batch on the engine that its group asks for.

    Raises:
        RuntimeError: A group has `fused=True`, but its rule or its tensors cannot be fused. Nothing
            has been changed then.
    """
    fused = [batch for batch in batches if batch.group["fused"]]
    if fused:
        _run_fused(optimizer, rule, fused, grad_scale)
    for batch in batches:
        if not batch.group["fused"]:
            loop.run(optimizer, rule, batch, grad_scale)


def _run_fused(
    optimizer: Stateful, rule: Rule, batches: Sequence[Batch], grad_scale: Tensor | None
) -> None:
    from schuss.engines.fused import engine  # which imports the compiler
    from schuss.engines.fused.tracer import UnfusableError

    scale = None if grad_scale is None else float(grad_scale)
    try:
        launches = engine.plan(optimizer, rule, batches, scale)
    except UnfusableError as error:
        raise RuntimeError(
            f"{type(optimizer).__name__} with fused=True: {error}; leave fused out to run it on "
            "the loop engine"
        ) from None
    engine.run(optimizer, launches)

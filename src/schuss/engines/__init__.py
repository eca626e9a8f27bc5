"""Engines run one parameter's rule for all parameters.

`loop` calls the rule for each parameter in turn, with real tensors. It is the specification: any
other engine has to agree with it. The others trace the rule once: `foreach` plays the program that
comes of it with torch's operations on lists of tensors, `fused` compiles it into one kernel.
"""

from __future__ import annotations

from schuss.contract import Group
from schuss.engines.engine import Engine
from schuss.engines.explanation import CohortExplanation, Explanation, explained
from schuss.engines.loop import initial_state
from schuss.engines.trial import tried
from schuss.engines.under_dynamo import CompiledSteps, Traced, called_while_tracing

__all__ = [
    "CohortExplanation",
    "CompiledSteps",
    "Engine",
    "Explanation",
    "Traced",
    "called_while_tracing",
    "check_engine",
    "explained",
    "initial_state",
    "tried",
]


def check_engine(group: Group) -> None:
    """Refuse a group that asks for an engine or an execution mode that there is not.

    Raises:
        ValueError: `capturable` is True, or two flags contradict each other.
    """
    if group["capturable"]:
        raise ValueError(
            "capturable=True asks for steps that can be captured in a graph, which this version "
            "does not have; leave capturable out"
        )
    if group["fused"] and group["foreach"]:
        raise ValueError("fused=True and foreach=True ask for two engines; leave one of them out")
    for flag in ("fused", "foreach"):
        if group[flag] and group["differentiable"]:
            raise ValueError(
                f"{flag}=True cannot be differentiated; leave out {flag} or differentiable"
            )

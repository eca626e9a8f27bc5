"""Engines run one parameter's rule for all parameters.

`loop` calls the rule for each parameter in turn, with real tensors. It is the specification: any
other engine has to agree with it. The others trace the rule once: `foreach` plays the program that
comes of it with torch's operations on lists of tensors, `fused` compiles it into one kernel.
"""

from __future__ import annotations

from schuss.contract import Group
from schuss.engines.devices.device import keeps_numbers
from schuss.engines.engine import Engine
from schuss.engines.explanation import CohortExplanation, Explanation, explained
from schuss.engines.footprint import Memory, footprint
from schuss.engines.loop import initial_state
from schuss.engines.trial import tried
from schuss.engines.under_dynamo import CompiledSteps, Traced, called_while_tracing
from schuss.engines.uninterrupted import uninterrupted
from schuss.engines.verdict import Verdict
from schuss.storage.master import check_weights

__all__ = [
    "CohortExplanation",
    "CompiledSteps",
    "Engine",
    "Explanation",
    "Memory",
    "Traced",
    "Verdict",
    "called_while_tracing",
    "check_engine",
    "explained",
    "footprint",
    "initial_state",
    "keeps_numbers",
    "tried",
    "uninterrupted",
]


def check_engine(group: Group) -> None:
    """Refuse a group that asks for an engine, an execution mode or weights that there are not.

    Raises:
        ValueError: Two flags contradict each other.
    """
    check_weights(group)
    if group["fused"] and group["foreach"]:
        raise ValueError("fused=True and foreach=True ask for two engines; leave one of them out")
    if group["capturable"] and (group["foreach"] or group["fused"] is False):
        raise ValueError(
            "capturable=True asks for kernels on a GPU, and foreach=True or fused=False for another"
            " engine; leave one of them out"
        )
    for flag in ("fused", "foreach", "capturable"):
        if group[flag] and group["differentiable"]:
            raise ValueError(
                f"{flag}=True cannot be differentiated; leave out {flag} or differentiable"
            )

"""Engines run one parameter's rule for all parameters.

`loop` calls the rule for each parameter in turn, with real tensors. It is the specification: any
other engine has to agree with it.
"""

from __future__ import annotations

from schuss.contract import Group
from schuss.engines import loop

__all__ = ["check_engine", "loop"]


def check_engine(group: Group) -> None:
    """Refuse a group that asks for an engine or an execution mode that there is not.

    Raises:
        ValueError: `foreach`, `fused` or `capturable` is True.
    """
    for flag in ("foreach", "fused", "capturable"):
        if group[flag]:
            raise ValueError(
                f"{flag}={group[flag]} asks for an engine that this version does not have; "
                f"leave {flag} out (it runs on the loop engine)"
            )

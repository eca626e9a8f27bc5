"""Hooks and a name in the profile around every step, as torch has them, if somebody uses them.

`torch.optim` opens a range of the profiler around each step and looks for hooks, which takes as
long as a small model's step. Here both are done if there is a profiler or a hook.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch.optim import Optimizer, optimizer

_Step = TypeVar("_Step", bound=Callable[..., Any])

_OF_ALL = ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
_BEFORE, _AFTER = "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"
"""Where torch keeps hooks; without them (in another version) a step is always torch's."""


def observed(step: _Step) -> _Step:
    """Return a `step` with torch's hooks and profile around it, if anybody uses them."""
    in_full: Any = Optimizer.profile_hook_step(step)
    of_all = [getattr(optimizer, name, {None: None}) for name in _OF_ALL]

    @wraps(step)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or torch.autograd._profiler_enabled():
            return in_full(self, *args, **kwargs)
        before, after = of_all
        if before or after or getattr(self, _BEFORE, True) or getattr(self, _AFTER, True):
            return in_full(self, *args, **kwargs)
        return step(self, *args, **kwargs)

    vars(wrapper)["hooked"] = True  # so that torch does not do it again
    return wrapper  # type: ignore[return-value]

"""Functions of whole tensors that may fail, and rules that catch their errors.

A decomposition fails for some numbers, which a trace does not have. A rule that lets the error pass
may be cut into stages: a step ends with the error then, as it does on the loop. A rule that catches
the error would do something else for that parameter, and no program has both. So while a rule is
traced, each function that may fail is made to fail once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from schuss.engines.errors import UnfusableError
from schuss.engines.tracing.blocks import Blocks

_NEVER = ("linalg_matrix_norm", "linalg_vector_norm", "linalg_norm", "linalg_multi_dot")
_TOO = ("cholesky", "cholesky_inverse", "cholesky_solve", "inverse", "svd", "logdet")


class Failed(torch.linalg.LinAlgError):  # type: ignore[misc]  # which has no types
    """A function has been made to fail."""


def that_may_fail(blocks: Blocks) -> Iterator[tuple[int, str]]:
    """Yield the number and the name of each call of a trace that may fail."""
    for number, call in enumerate(blocks.calls):
        if may_fail(call.function):
            yield number, call.function.__name__.strip("_")


def may_fail(function: Callable[..., object]) -> bool:
    """Tell whether a function of whole tensors fails for some numbers, or may do anything."""
    name = function.__name__.strip("_")
    foreign = hasattr(function, "takes_stacks") and not function.__module__.startswith("schuss.")
    return (name.startswith("linalg_") and name not in _NEVER) or name in _TOO or foreign


def check_passes(name: str, run: Callable[[], object]) -> None:
    """Check that a rule lets the error of a function pass.

    Args:
        name: The function, which has been made to fail.
        run: Runs the rule.

    Raises:
        UnfusableError: The rule catches the error.
    """
    before = torch.get_rng_state()
    try:
        run()
    except Failed:
        return
    except Exception as error:
        raise _caught(name) from error
    finally:
        torch.set_rng_state(before)
    raise _caught(name)


def _caught(name: str) -> UnfusableError:
    return UnfusableError(
        f"the rule catches errors of torch.{name}, which only the loop raises for one parameter"
    )

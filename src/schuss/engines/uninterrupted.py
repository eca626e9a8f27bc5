"""Work that a signal does not cut in two.

Python runs the handler of a signal between any two of its instructions. The handler of Ctrl-C
raises an error there, and so do those of many timeouts. Calls that belong together would then be
made in part.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

_SIGNALS: Final = [
    int(getattr(signal, name))
    for name in ("SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGBREAK", "SIGINT")
    if hasattr(signal, name)
]
"""The signals that people send to a training, or a timeout to itself."""

_handled: Final[Any] = getattr(signal, "_signal", signal)
"""Functions that take and return plain numbers. Those of `signal` make enumerations of all numbers,
which takes as long as two calls of torch."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the handlers of signals wait until the block is over, in the thread that runs them.

    A signal that arrives a second time does not wait: the block may not come to its end.
    """
    handlers: dict[int, Any] = {}
    arrived: list[int] = []
    waits = True

    def hold(number: int, frame: Any) -> None:
        if waits and number not in arrived:
            arrived.append(number)
        else:
            handlers[number](number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    handlers.update({n: _handled.getsignal(n) for n in _SIGNALS if is_main})
    held = [n for n, handler in handlers.items() if callable(handler)]
    try:
        for number in held:
            _handled.signal(number, hold)
        yield
    finally:
        waits = False  # a handler that could not be put back does what the earlier one does
        for number in held:
            _handled.signal(number, handlers[number])
        _deliver(arrived, handlers)


def _deliver(numbers: Sequence[int], handlers: Mapping[int, Any]) -> None:
    """Call the handlers of signals, all of them even where one raises an error."""
    if numbers:
        try:
            handlers[numbers[0]](numbers[0], sys._getframe())
        finally:
            _deliver(numbers[1:], handlers)

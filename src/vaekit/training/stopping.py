"""Stopping between two steps, where nothing is half done: on Ctrl-C, on SIGTERM, or when asked."""

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from vaekit.errors import UsageError

__all__ = ["StopRequest", "TimeLimit", "stopping_on"]


class StopRequest:
    """A flag that the training loop looks at before every step.

    Attributes
    ----------
    signal : signal.Signals or None
        The signal that asked; ``SIGINT`` where ``ask`` was called without one.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def ask(self, by: signal.Signals = signal.SIGINT) -> None:
        """Ask the loop to stop at the next step.

        >>> stop = StopRequest()
        >>> stop.ask()
        >>> bool(stop)
        True
        """
        self.signal = by


class TimeLimit(StopRequest):
    """A request to stop that is made when so many minutes have passed since it was built.

    Raises
    ------
    UsageError
        For minutes that are not positive.

    Examples
    --------
    >>> bool(TimeLimit(5)), bool(TimeLimit(1e-9))
    (False, True)
    """

    def __init__(self, minutes: float) -> None:
        super().__init__()
        if not minutes > 0:
            raise UsageError(f"minutes={minutes:g}: give a positive number, such as 8")
        self._ends = time.perf_counter() + 60 * minutes

    def __bool__(self) -> bool:
        return super().__bool__() or time.perf_counter() >= self._ends


@contextmanager
def stopping_on(stop: StopRequest, *signals: signal.Signals) -> Generator[StopRequest]:
    """Turn signals into a request to stop, inside a block; a second one has its usual effect.

    A signal that the program handles itself is left to it, and outside the main thread, where Python allows
    no handlers, nothing is changed.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if stop:
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)
        else:
            stop.ask(signal.Signals(number))

    usual = (signal.SIG_DFL, signal.default_int_handler)
    previous = {}
    if threading.current_thread() is threading.main_thread():
        previous = {s: signal.getsignal(s) for s in signals if signal.getsignal(s) in usual}
    try:
        for number in previous:
            signal.signal(number, handle)
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

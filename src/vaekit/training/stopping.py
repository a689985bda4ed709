"""Stopping between two steps, where nothing is half done: on Ctrl-C, on SIGTERM, or when asked."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StopRequest", "stopping_on"]


class StopRequest:
    """A flag that the training loop looks at before every step.

    Attributes
    ----------
    signal : signal.Signals or None
        What asked; ``SIGINT`` where ``ask`` was called without one.
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


@contextmanager
def stopping_on(stop: StopRequest, *signals: signal.Signals) -> Iterator[StopRequest]:
    """Turn signals into a request to stop, inside a block; a second one has its usual effect.

    A signal that the program handles itself is left to it, and outside the main thread, where Python allows no
    handlers, nothing is changed.
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

"""Settings of the process for a block: threads, denormal numbers, and any other setting that threads share."""

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

__all__ = ["SharedSetting", "flushed_denormals", "restored_threads", "set_threads", "single_thread"]

T = TypeVar("T")


class SharedSetting(Generic[T]):
    """A setting of the whole process, changed for blocks that may run in several threads at once.

    The first block notes the setting that it finds, and the last one puts it back; without that count a block that
    begins inside another thread's would find the other's setting, and leave that behind.

    Parameters
    ----------
    read, write
        Return and change the setting.

    Examples
    --------
    >>> values = [64]
    >>> bits = SharedSetting(lambda: values[0], lambda value: values.__setitem__(0, value))
    >>> with bits.holding(32):
    ...     values[0]
    32
    >>> values[0]
    64
    """

    def __init__(self, read: Callable[[], T], write: Callable[[T], None]) -> None:
        self._read, self._write = read, write
        self._before: list[T] = []
        self._holders = 0
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget_threads)

    @contextmanager
    def holding(self, value: T) -> Generator[None]:
        """Hold the setting at a value, in a block; all blocks that overlap must hold the same."""
        with self._lock:
            found = self._read()
            if not self._holders:
                self._before = [found]
            self._holders += 1
            if found != value:
                self._write(value)
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders and self._before[0] != value:
                    self._write(self._before[0])

    def _forget_threads(self) -> None:
        """Free what a thread held that a fork has not copied."""
        self._lock = threading.Lock()


_blocks: dict[int, int] = {}  # of each thread that is in a block of `restored_threads`: how many
_usual_threads = _last_set = 0


def set_threads(number: int) -> None:
    """Set the number of torch's threads, inside a block of :func:`restored_threads`."""
    global _last_set
    _last_set = number
    torch.set_num_threads(number)


@contextmanager
def restored_threads() -> Generator[None]:
    """Restore the number of torch's threads after a block that changes it.

    The number is each thread's own, but a new thread begins with the one that was set last, by whatever thread: one
    that begins inside another's block gets the number from before that block.
    """
    global _usual_threads
    me, found = threading.get_ident(), torch.get_num_threads()
    if not _blocks:
        _usual_threads = found
    elif me not in _blocks and found == _last_set:
        found = _usual_threads
    _blocks[me] = _blocks.get(me, 0) + 1
    try:
        yield
    finally:
        _blocks[me] -= 1
        if not _blocks[me]:
            del _blocks[me]
        torch.set_num_threads(found)


@contextmanager
def single_thread() -> Generator[None]:
    """Run a block on one thread, and restore the number of threads after it.

    Examples
    --------
    >>> before = torch.get_num_threads()
    >>> with single_thread():
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    with restored_threads():
        set_threads(1)
        yield


@contextmanager
def flushed_denormals() -> Generator[None]:
    """Take denormal floats as zero inside a block, where the processor can, and as before after it.

    Adam's averages of a gradient that has become zero (a pixel that is black in every image of the last
    thousand steps) fade into the denormal range, below 1e-38, where processors are many times slower: on
    MNIST every epoch would take longer than the one before.

    Examples
    --------
    >>> tiny = torch.tensor(1e-40)
    >>> with flushed_denormals():
    ...     inside = tiny * 1
    >>> bool(tiny * 1 > 0)
    True
    """
    before = bool(torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)

"""A batch shared out over threads that wait for work: kernels of numba's leave the interpreter to others."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

__all__ = ["in_threads"]

T = TypeVar("T")

#: What a second thread has to take over to pay for being woken: some 100 microseconds.
WORK_PER_THREAD = 200_000
#: Parts begin at multiples of this, so that no block of items is cut in two.
GRAIN = 8


@cache
def helpers() -> ThreadPoolExecutor:
    """The threads beside the caller's own; they are started when they are first needed."""
    return ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="vaekit-lanes")


if hasattr(os, "register_at_fork"):
    # A child process has none of its parent's threads.
    os.register_at_fork(after_in_child=helpers.cache_clear)


def in_threads(function: Callable[[int, int], T], n: int, work: int) -> list[T]:
    """What the function says of items `first` to `stop`, for parts of `n` items that are worth a thread each.

    ``work`` is that of all items, in units of about half a nanosecond; there are never more threads than
    torch uses.

    >>> in_threads(lambda first, stop: stop - first, 20, 10)
    [20]
    """
    if work < 2 * WORK_PER_THREAD:
        return [function(0, n)]
    count = min(torch.get_num_threads(), work // WORK_PER_THREAD, -(-n // GRAIN))
    step = max(1, -(-n // (count * GRAIN))) * GRAIN
    rest = [helpers().submit(function, first, min(first + step, n)) for first in range(step, n, step)]
    return [function(0, min(step, n)), *(future.result() for future in rest)]

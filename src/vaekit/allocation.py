"""What the C library does with the memory that tensors leave.

A step makes and leaves intermediate results of some megabytes. glibc gives such blocks back to the system at once and
asks for them again, a page fault for every 4 kB, until it has seen a large block freed, whose size then counts as
usual: so a run may take half as long again as the same run after another. Here it is told at the start what it would
come to.
"""

import ctypes
import os
from contextlib import suppress
from functools import cache

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
_LARGEST = 32 * 2**20  # bytes: what glibc comes to keep by itself is blocks up to it, twice as much in all
_OWN_CHOICES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Have blocks of up to 32 MB kept for reuse, 64 MB of them at most, for the rest of the process.

    Gives whether the C library was told: not where it is another than glibc, nor where the environment tells it.

    Examples
    --------
    >>> keep_freed_memory() in (True, False)
    True
    """
    if any(name in os.environ for name in _OWN_CHOICES):
        return False
    with suppress(OSError, TypeError):
        library = ctypes.CDLL(None)
        if hasattr(library, "gnu_get_libc_version"):  # others may have a mallopt that does nothing
            told = [
                library.mallopt(_MMAP_THRESHOLD, _LARGEST),
                library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST),
            ]
            return all(told)
    return False

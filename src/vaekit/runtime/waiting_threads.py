r"""The way in which torch's threads wait for each other: spinning on an idle machine, asleep beside other processes.

By default a thread of OpenMP that waits for another spins, up to some milliseconds, and takes the processor from the
very thread that it waits for. On two processors with other processes at work a step then takes two to five times as
long as on one thread; asleep it takes 0.9 to 1.3 times as long. On an idle machine spinning is faster by a quarter to
a third. So while a block runs, the time is looked at that other processes take of the processors this one may use,
and the threads spin or sleep by what was seen last. The arithmetic is the same either way: no clock decides a digit.
``benchmarks/threads/run.py`` measures it.

GNU's OpenMP spins only while it has no more threads than the process may use processors (``libgomp/config/linux/
wait.h``), as is documented of its ``GOMP_SPINCOUNT``. So a thread that sleeps, with a team of its own, holds the
threads that are missing to one too many. Elsewhere than on Linux, and with another OpenMP, nothing changes.
"""

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

__all__ = ["OtherProcesses", "waiting_as_others_allow"]

_LOOK_EVERY = 0.2  # seconds
_BUSY = 0.3  # processors that others use: their waiting threads sleep from here on
_IDLE = 0.1  # ... and spin again from here on, less than a tick of the clock in four looks
_LONG_AGO = 2.0  # seconds after which a mean says too little about the present

_lock = threading.Lock()
_blocks = 0
_watch: "_Watch | None" = None


class OtherProcesses:
    """The number of processors that other processes use, of those that this one may use.

    Parameters
    ----------
    statistics
        The kernel's count of the processors' time; None where there is none.
    own_seconds
        The processor's time of this process so far.

    Examples
    --------
    >>> others = OtherProcesses()
    >>> others.seen()  # the first look has nothing to compare with
    """

    def __init__(
        self, statistics: Path = Path("/proc/stat"), own_seconds: Callable[[], float] = time.process_time
    ) -> None:
        self._statistics, self._own_seconds = statistics, own_seconds
        self._before: tuple[float, float, float] | None = None

    def seen(self) -> float | None:
        """Return how many processors others have used since the last look; None where that is not known."""
        try:
            now = time.monotonic(), self._busy_seconds(), self._own_seconds()
        except (OSError, ValueError, IndexError, AttributeError):
            self._before = None
            return None
        before, self._before = self._before, now
        if before is None or now[0] <= before[0]:
            return None
        passed, busy, own = (new - old for new, old in zip(now, before, strict=True))
        return max(0.0, busy - own) / passed

    def _busy_seconds(self) -> float:
        """Return the seconds that the processors at hand were not idle; time stolen by a host's others counts."""
        mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        lines = [line.split() for line in self._statistics.read_text().splitlines()]
        times = [list(map(int, words[1:9])) for words in lines if words and words[0] in mine]
        if len(times) != len(mine):
            raise ValueError("not all processors are counted")
        ticks = sum(sum(each) - each[3] - each[4] for each in times)  # neither idle nor waiting for a disk
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def waiting_as_others_allow(*, may_spin: bool = True) -> Generator[None]:
    """Let torch's threads wait for each other asleep inside a block while other processes are busy, spinning otherwise.

    A block begins asleep, unless the machine was looked at just before. Nothing remains of it afterwards.

    Parameters
    ----------
    may_spin
        False where the threads are to sleep in any case: what they spin counts against the quota of a container.

    Examples
    --------
    >>> before = threading.active_count()
    >>> with waiting_as_others_allow():
    ...     inside = threading.active_count()
    >>> threading.active_count() == before
    True
    """
    global _blocks, _watch
    if _openmp() is None:
        yield
        return
    with _lock:
        _blocks += 1
        watch = _watch = _watch or _Watch(torch.get_num_threads(), may_spin)
    try:
        yield
    finally:
        with _lock:
            if watch is _watch:  # not so in a process that was forked inside the block
                _blocks -= 1
                if not _blocks:
                    watch.end()
                    _watch = None


class _Load:
    """Whether the machine is idle but for this process, by the last look at it; unknown counts as busy."""

    def __init__(self) -> None:
        self._others, self._is_idle, self._looked_at = OtherProcesses(), False, -_LONG_AGO

    def is_idle(self) -> bool:
        """Look, unless that was just done, and return what was found."""
        passed = time.monotonic() - self._looked_at
        if passed < _LOOK_EVERY / 2:
            return self._is_idle
        self._looked_at += passed
        used = self._others.seen()
        if used is None or used >= _BUSY or passed > _LONG_AGO:
            self._is_idle = False
        elif used <= _IDLE:
            self._is_idle = True
        return self._is_idle


class _Watch:
    """A thread that looks at the other processes, and makes waiting threads sleep or spin, until it is ended."""

    def __init__(self, threads: int, may_spin: bool) -> None:
        self._team = max(2, len(os.sched_getaffinity(0)) - threads + 2)
        self._may_spin, self._ends = may_spin, threading.Event()
        self._holder: _Holder | None = None
        self._follow()
        self._thread = threading.Thread(target=self._look, name="vaekit looks at the load", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ends.wait(_LOOK_EVERY if self._may_spin else None):
            self._follow()

    def _follow(self) -> None:
        asleep = not self._may_spin or not _load.is_idle()
        if asleep and self._holder is None:
            self._holder = _Holder(self._team)
        elif not asleep and self._holder is not None:
            self._holder.end()
            self._holder = None

    def end(self) -> None:
        self._ends.set()
        self._thread.join()
        if self._holder is not None:
            self._holder.end()


class _Holder:
    """A thread that has a team of OpenMP threads of its own, all asleep, until it is let go."""

    def __init__(self, team: int) -> None:
        self._team = team
        self._is_ready, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, name="vaekit holds threads asleep", daemon=True)
        self._thread.start()
        self._is_ready.wait()

    def _hold(self) -> None:
        openmp = _openmp()
        if (
            openmp is not None
        ):  # torch's own settings stay as they are: other threads may be at work with them
            openmp.GOMP_parallel(
                ctypes.cast(openmp.omp_get_num_threads, ctypes.c_void_p), None, self._team, 0
            )
        self._is_ready.set()
        self._may_end.wait()

    def end(self) -> None:
        self._may_end.set()
        self._thread.join()


@cache
def _openmp() -> ctypes.CDLL | None:
    """Return the library through which torch's own OpenMP is found, with GNU's entry points; None without them."""
    if sys.platform != "linux":
        return None
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        library.GOMP_parallel.argtypes = [*[ctypes.c_void_p] * 2, *[ctypes.c_uint] * 2]
        library.GOMP_parallel.restype = None
        _ = library.omp_get_num_threads
    except (OSError, AttributeError):
        return None
    return library


_load = _Load()


def _forget_watch() -> None:
    """Begin without the threads that a fork has not copied."""
    global _blocks, _watch, _lock
    _blocks, _watch, _lock = 0, None, threading.Lock()


os.register_at_fork(after_in_child=_forget_watch)

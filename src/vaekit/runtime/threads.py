r"""The number of threads of a block: by the size of its work alone, so that the same work gives the same bytes.

Sums that are divided among another number of threads differ in their last digits (a convolution's gradient, a matrix
product of 11 rows, the sum of a large tensor), so no clock decides: a run would not end in the same bytes as another
of the same seed. Two rules need none.

* Work below :data:`WORTH_SHARING` multiply-adds at a time runs on one thread. Two idle processors would gain less than
  an eighth there, asleep, and beside other processes a step would take up to twice as long.
* Larger work is shared by torch's threads, at most as many as there are processors to be had (:func:`usable_cores`),
  and they wait for each other *asleep* (:func:`waiting_asleep`).

The second rule is what a busy machine needs. By default a thread of OpenMP that waits for another spins, up to some
milliseconds, and takes the processor from the very thread that it waits for. On two processors with other processes
at work a step then took 14 to 80 times as long as on one thread; asleep it takes 1.2 to 1.3 times as long, with the
same arithmetic. ``benchmarks/threads/run.py`` measures it.
"""

import math
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import nn

from vaekit.runtime.processor import restored_threads, set_threads

__all__ = ["WORTH_SHARING", "quota_in_words", "shared_threads", "usable_cores", "waiting_asleep", "work_of"]

WORTH_SHARING = 300_000_000  # multiply-adds of a pass forward that are worth more than one thread
_SHARE_OF_ONE_THREAD = 2**15  # numbers of an elementwise function, torch's own; fewer are not divided

_lock = threading.Lock()
_blocks = 0
_holder: "_Holder | None" = None


def usable_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of processors that this process may use: its affinity, and the CPU quota of its container.

    Parameters
    ----------
    root
        The folder of the control groups: ``cpu.max`` of version 2, ``cpu/cpu.cfs_quota_us`` of version 1.

    Examples
    --------
    >>> 1 <= usable_cores() <= os.cpu_count()
    True
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def quota_in_words(root: Path = Path("/sys/fs/cgroup")) -> str:
    """Return how many processors a container's quota leaves, where that is fewer than there are; else nothing.

    >>> quota_in_words(Path("nowhere"))
    ''
    """
    cores, all_of_them = usable_cores(root), usable_cores(Path(os.devnull))
    return (
        "" if cores == all_of_them else f"; {cores} of {all_of_them} processors, by the container's CPU quota"
    )


def _quota(root: Path) -> float | None:
    """Return the processors' time that a container may use in a second; None where it is not limited."""
    files = ([root / "cpu.max"], [root / "cpu" / "cpu.cfs_quota_us", root / "cpu" / "cpu.cfs_period_us"])
    for places in files:
        try:
            words = " ".join(place.read_text() for place in places).split()
            if len(words) == 2 and words[0] not in ("max", "-1"):
                return float(words[0]) / float(words[1])
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None


def work_of(model: object, times: int) -> float:
    """Return the multiply-adds of so many passes of one example through all parameters; infinite if not a module.

    >>> work_of(nn.Linear(3, 2), 10)
    80.0
    """
    if not isinstance(model, nn.Module):
        return math.inf
    return float(times * sum(parameter.numel() for parameter in model.parameters()))


@contextmanager
def shared_threads(work: float) -> Generator[None]:
    """Run a block whose work is done in pieces of so many multiply-adds on one thread, or on all that may be used.

    Inside another such block on one thread it is one thread too.

    Examples
    --------
    >>> with shared_threads(1000):
    ...     torch.get_num_threads()
    1
    """
    with restored_threads():
        wanted = 1 if work < WORTH_SHARING else min(torch.get_num_threads(), usable_cores())
        if wanted != torch.get_num_threads():
            set_threads(wanted)
        with waiting_asleep() if wanted > 1 else nullcontext():
            yield


class _Holder:
    """A thread that has a team of OpenMP threads of its own, all asleep, until it is let go."""

    def __init__(self, team: int) -> None:
        self._team = team
        self._is_ready, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, name="vaekit holds threads asleep", daemon=True)
        self._thread.start()
        self._is_ready.wait()

    def _hold(self) -> None:
        with restored_threads():
            set_threads(self._team)
            torch.zeros(self._team * _SHARE_OF_ONE_THREAD, dtype=torch.float32, device="cpu").add_(1.0)
        self._is_ready.set()
        self._may_end.wait()

    def end(self) -> None:
        self._may_end.set()
        self._thread.join()


@contextmanager
def waiting_asleep() -> Generator[None]:
    """Let torch's threads wait for each other asleep inside a block, rather than spinning.

    GNU's OpenMP spins only while it has no more threads than the process may use processors (``libgomp/config/linux/
    wait.h``), as is documented of its ``GOMP_SPINCOUNT``. So a thread that sleeps holds the threads that are missing
    to one too many. Elsewhere it changes nothing, and nothing remains of it afterwards.

    Examples
    --------
    >>> before = threading.active_count()
    >>> with waiting_asleep():
    ...     inside = threading.active_count()
    >>> threading.active_count() == before
    True
    """
    global _blocks, _holder
    if sys.platform != "linux":
        yield
        return
    with _lock:
        _blocks += 1
        if _blocks == 1:
            _holder = _Holder(max(2, len(os.sched_getaffinity(0)) - torch.get_num_threads() + 2))
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks and _holder is not None:
                _holder.end()
                _holder = None


def _forget_holder() -> None:
    """Begin without the thread that a fork has not copied."""
    global _blocks, _holder, _lock
    _blocks, _holder, _lock = 0, None, threading.Lock()


os.register_at_fork(after_in_child=_forget_holder)

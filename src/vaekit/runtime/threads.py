r"""The number of threads of a block: by the size of its work alone, so that the same work gives the same bytes.

Sums that are divided among another number of threads differ in their last digits (a convolution's gradient, a matrix
product of 11 rows, the sum of a large tensor), so no clock decides: a run would not end in the same bytes as another
of the same seed. Two rules need none.

* Work below :data:`WORTH_SHARING` multiply-adds at a time runs on one thread. Beside other processes a step of less
  would take up to twice as long on two threads.
* Larger work is shared by torch's threads, at most as many as there are processors to be had (:func:`usable_cores`).
  How they wait for each other follows the load, and changes no digit: see :mod:`vaekit.runtime.waiting_threads`.
"""

import math
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from vaekit.runtime.processor import restored_threads, set_threads
from vaekit.runtime.waiting_threads import waiting_as_others_allow

__all__ = [
    "COMPILED_WORTH_SHARING",
    "WORTH_SHARING",
    "quota_in_words",
    "shared_threads",
    "usable_cores",
    "work_of",
]

WORTH_SHARING = 300_000_000  # multiply-adds of a pass forward that are worth more than one thread
COMPILED_WORTH_SHARING = 60_000_000  # ... as one compiled graph, whose threads meet more seldom


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
    cores, quota = _cores_at_hand(), _quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def quota_in_words(root: Path = Path("/sys/fs/cgroup")) -> str:
    """Return how many processors a container's quota leaves, where that is fewer than there are; else nothing.

    >>> quota_in_words(Path("nowhere"))
    ''
    """
    cores, all_of_them = usable_cores(root), _cores_at_hand()
    return (
        "" if cores == all_of_them else f"; {cores} of {all_of_them} processors, by the container's CPU quota"
    )


def _cores_at_hand() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


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
def shared_threads(work: float, *, compiled: bool = False) -> Generator[None]:
    """Run a block whose work is done in pieces of so many multiply-adds on one thread, or on all that may be used.

    Inside another such block on one thread it is one thread too.

    Parameters
    ----------
    work
        The multiply-adds of a piece.
    compiled
        Whether they are one compiled graph, whose threads meet more seldom, so that less work is worth sharing.

    Examples
    --------
    >>> with shared_threads(1000):
    ...     torch.get_num_threads()
    1
    """
    with restored_threads():
        is_small = work < (COMPILED_WORTH_SHARING if compiled else WORTH_SHARING)
        cores = 1 if is_small else usable_cores()
        wanted = min(torch.get_num_threads(), cores)
        if wanted != torch.get_num_threads():
            set_threads(wanted)
        if wanted == 1:
            yield
            return
        with waiting_as_others_allow(may_spin=cores == _cores_at_hand()):
            yield

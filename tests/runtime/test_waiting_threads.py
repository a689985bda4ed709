"""Threads that wait for each other sleep beside busy processes, spin on an idle machine, and no digit knows."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from vaekit.runtime import waiting_threads
from vaekit.runtime.waiting_threads import OtherProcesses, waiting_as_others_allow

linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
SPINNER = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


def tasks() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def wait_until(holds, seconds=20.0) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()


@pytest.fixture
def load(monkeypatch):
    """A machine whose other processes use as many processors as a test says; looked at often."""
    told: dict[str, float | None] = {"processors": 1.0}
    monkeypatch.setattr(waiting_threads, "_LOOK_EVERY", 0.005)
    monkeypatch.setattr(waiting_threads, "_load", waiting_threads._Load())
    monkeypatch.setattr(OtherProcesses, "seen", lambda self: told["processors"])
    torch.ones(2**18).add_(1.0)  # torch's own threads, if there are any, are there before any are counted
    return told


def holding() -> bool:
    return any(thread.name == "vaekit holds threads asleep" for thread in threading.enumerate())


@linux
def test_threads_asleep_are_one_more_than_there_are_processors(load):
    """That is when GNU's OpenMP stops spinning; and all of them are gone afterwards."""
    before, asked = torch.get_num_threads(), tasks()
    with waiting_as_others_allow():
        inside = tasks()
        with waiting_as_others_allow():
            assert tasks() == inside, "one thread holds for all blocks"
    cores = len(os.sched_getaffinity(0))
    assert inside - asked >= 2 + max(1, cores - before + 1), (
        "the one that looks, the one that holds, and its team"
    )
    assert wait_until(lambda: tasks() <= asked), "a thread's end is seen a moment after it"
    assert torch.get_num_threads() == before
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [before], "new threads begin as before"


@linux
def test_they_follow_a_load_that_changes(load):
    with waiting_as_others_allow():
        assert holding(), "a block begins asleep"
        load["processors"] = 0.05
        assert wait_until(lambda: not holding())
        load["processors"] = 0.2
        time.sleep(0.05)
        assert not holding(), "between the two lines nothing changes"
        load["processors"] = 0.5
        assert wait_until(holding)
        load["processors"] = 0.2
        time.sleep(0.05)
        assert holding()
        load["processors"] = 0.0
        assert wait_until(lambda: not holding())
        load["processors"] = None  # not known
        assert wait_until(holding)


@linux
def test_the_next_block_begins_by_what_has_been_seen_since_the_last(load, monkeypatch):
    load["processors"] = 0.0
    with waiting_as_others_allow():
        assert holding(), "there was no look before"
    time.sleep(0.02)
    with waiting_as_others_allow():
        assert not holding()
    load["processors"] = 1.0
    time.sleep(0.02)
    with waiting_as_others_allow():
        assert holding()
    load["processors"] = 0.0
    monkeypatch.setattr(waiting_threads, "_LONG_AGO", 0.01)
    time.sleep(0.03)
    with waiting_as_others_allow():
        assert holding(), "that mean is of too long a time"


@linux
def test_threads_that_may_not_spin_sleep_on_an_idle_machine(load):
    load["processors"] = 0.0
    with waiting_as_others_allow():
        assert wait_until(lambda: not holding())
    with waiting_as_others_allow(may_spin=False):
        assert holding(), "what is spun counts against the quota of a container"
        time.sleep(0.05)
        assert holding()
    assert not holding()


@pytest.mark.parametrize("threads_set", [1, 2])
def test_no_digit_changes(load, threads_set):
    before = torch.get_num_threads()
    torch.set_num_threads(threads_set)
    x = torch.randn(300, 300, generator=torch.Generator().manual_seed(0))
    found = [x @ x, x.sum()]
    for load["processors"] in (1.0, 0.0):
        with waiting_as_others_allow():
            time.sleep(0.03)
            found += [x @ x, x.sum()]
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(found[2:], found[:2] * 2, strict=True))


def statistics(folder: Path, *busy: int) -> Path:
    """A file as the kernel's, with so many ticks of each processor at hand, and others that are not at hand."""
    lines = ["cpu  9 9 9 9 9 9 9 9 0 0", "cpu99 5000000 0 0 0 0 0 0 0 0 0"]
    for number, ticks in zip(sorted(os.sched_getaffinity(0)), busy, strict=True):
        lines.append(f"cpu{number} {ticks - 7} 1 1 100000 5000 1 1 3 0 0")
    path = folder / "stat"
    path.write_text("\n".join([*lines, "intr 1 2 3"]) + "\n")
    return path


@linux
def test_processors_used_by_others_are_all_that_are_busy_but_for_this_process(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting_threads.os, "sched_getaffinity", lambda pid: {0, 2})
    monkeypatch.setattr(waiting_threads.os, "sysconf", lambda name: 100)
    clock, own = iter([10.0, 12.0, 14.0]), iter([1.0, 2.5, 2.5])
    monkeypatch.setattr(waiting_threads.time, "monotonic", lambda: next(clock))
    others = OtherProcesses(statistics(tmp_path, 1000, 2000), lambda: next(own))
    assert others.seen() is None
    statistics(tmp_path, 1180, 2020)  # 2 s of processor's time in 2 s, 1.5 s of them this process's own
    assert others.seen() == pytest.approx(0.25)
    (tmp_path / "stat").write_text("cpu0 1 2 3\n")
    assert others.seen() is None, "not all processors are counted"


@linux
def test_a_busy_process_is_seen():
    others = OtherProcesses()
    others.seen()
    with subprocess.Popen([sys.executable, "-c", SPINNER]) as process:
        try:
            time.sleep(1.0)
            assert (others.seen() or 0.0) > 0.2
        finally:
            process.kill()

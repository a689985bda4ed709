"""The number of threads follows from the size of the work alone."""

import pytest
import torch
from torch import nn

from vaekit.runtime import threads
from vaekit.runtime.threads import (
    WORTH_SHARING,
    quota_in_words,
    shared_threads,
    usable_cores,
    work_of,
)


@pytest.fixture
def two_of_four(monkeypatch):
    """A process with four threads on a machine whose container may use two processors."""
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "usable_cores", lambda *root: 2)
    torch.set_num_threads(4)
    yield
    assert torch.get_num_threads() == 4, "it is put back"
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("work", "expected"), [(WORTH_SHARING - 1, 1), (WORTH_SHARING, 2), (float("inf"), 2)]
)
def test_small_work_has_one_thread_and_large_work_those_that_may_be_used(two_of_four, work, expected):
    with shared_threads(work):
        assert torch.get_num_threads() == expected
        with shared_threads(float("inf")):
            assert torch.get_num_threads() == expected, "inside one thread there is one"


def test_threads_that_the_caller_has_not_given_are_not_taken(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda *root: 16)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with shared_threads(float("inf")):
        assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu.max": "no numbers"}, 8),
        ({}, 8),
    ],
)
def test_the_quota_of_a_container_limits_the_processors(tmp_path, monkeypatch, files, expected):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 8)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == expected
    said = f"; {expected} of 8 processors, by the container's CPU quota"
    assert quota_in_words(tmp_path) == ("" if expected == 8 else said)


def test_work_is_counted_by_parameters():
    assert work_of(nn.Linear(3, 2), 10) == 80
    assert work_of(object(), 10) == float("inf"), "of somebody else's model nothing is known"

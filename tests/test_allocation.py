"""Memory that a step leaves is there for the next."""

import subprocess
import sys

import pytest

LOOP = """
import resource, sys
import torch
from vaekit.allocation import keep_freed_memory

torch.set_num_threads(1)
if sys.argv[1] == "told":
    assert keep_freed_memory() == (sys.argv[2] == "True")

def step():
    x = torch.ones(500_000)
    for _ in range(6):
        x = x * 2  # blocks of 2 MB that are left
    return float(x[0])

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50)
"""


def faults(told, expected=True, **environment):
    """Page faults a step in a fresh process."""
    command = [sys.executable, "-c", LOOP, told, str(expected)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "", **environment}, check=True
    )
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_freed_blocks_are_used_again_without_a_page_fault_each():
    assert faults("not told") > 500  # what it is good against
    assert faults("told") < 50


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_the_environment_has_the_last_word():
    assert (
        faults("told", expected=False, MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072") > 500
    )

"""Memory that a step leaves is there for the next."""

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys
import torch
from vaekit.allocation import keep_freed_memory

NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

class Information(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Information

if sys.argv[1] == "told":
    print(keep_freed_memory())
before = mallinfo2()
x = torch.ones(6 * 2**20)  # 24 MB
there = mallinfo2()
del x
after = mallinfo2()
print(there.hblks - before.hblks, after.fordblks >= 24 * 2**20)
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc's, of 2.33 or later"
)


def what_becomes_of_a_block(told, **environment):
    """Whether the library was told, how many blocks the system gave, and whether what was freed is kept."""
    command = [sys.executable, "-c", PROGRAM, told]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "", **environment}, check=True
    )
    return done.stdout.split()


def test_a_freed_block_is_kept_for_the_next_once_the_library_is_told():
    assert what_becomes_of_a_block("not told") == ["1", "False"]
    assert what_becomes_of_a_block("told") == ["True", "0", "True"]


def test_the_environment_has_the_last_word():
    choices = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    assert what_becomes_of_a_block("told", **choices) == ["False", "1", "False"]

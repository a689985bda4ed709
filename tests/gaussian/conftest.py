"""The hard pairs and their truth live beside the benchmark, which uses them too."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "gaussian"))


@pytest.fixture
def without_lanes():
    """Pure torch, as where numba is not installed."""
    from vaekit.gaussian import use_lanes

    use_lanes(False)
    yield
    use_lanes(True)

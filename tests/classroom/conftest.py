"""Check a student's code without starting a process: the same work, in this one."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from vaekit.classroom import CheckReport, check_file, child

HEADER = """
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., CheckReport]]:
    """Give ``check(code, mapping)``: the report on a file of that code, the usual imports before it."""

    def here(job: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        events: list[dict[str, Any]] = []
        child.prepare(job)
        child.work(job, lambda event, **details: events.append({"event": event, **details}))
        return events, "ended"

    def checked(code: str, mapping: dict[str, str] | None = None) -> CheckReport:
        path = tmp_path / "homework.py"
        path.write_text(HEADER + code)
        return check_file(path, mapping)

    monkeypatch.setattr("vaekit.classroom.checker.spawn", here)
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    yield checked
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    sys.modules.pop("student", None)

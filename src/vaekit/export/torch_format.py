"""A function of rows as a program of :mod:`torch.export`, which runs without vaekit's source."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.export import Dim, ExportedProgram

from vaekit.export.row_functions import RowFunction, Run

__all__ = ["export_program", "write_program"]


def export_program(function: RowFunction) -> ExportedProgram:
    """Trace a function with any number of rows."""
    rows = Dim("rows", min=1)
    shapes = tuple({axis: rows} for axis in function.batch)
    with torch.no_grad(), _unchecked_distributions():
        return torch.export.export(function.module, function.examples, dynamic_shapes=shapes)


@contextmanager
def _unchecked_distributions() -> Generator[None]:
    """Let torch's distributions, those inside others too, look at no values, which a trace has not."""
    before: bool = Distribution._validate_args  # pyright: ignore[reportPrivateUsage]
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def write_program(function: RowFunction, folder: Path, description: dict[str, Any]) -> tuple[Path, Run]:
    """Write ``NAME.pt2``, with the description as its extra file ``vaekit.json``."""
    path = folder / f"{function.name}.pt2"
    torch.export.save(export_program(function), path, extra_files={"vaekit.json": json.dumps(description)})
    module = torch.export.load(path).module()

    def run(inputs: tuple[Tensor, ...]) -> list[np.ndarray]:
        with torch.no_grad():
            return [output.numpy() for output in module(*inputs)]

    return path, run

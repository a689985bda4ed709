"""From a fitted model to a folder that runs without vaekit: what is written is run, and compared with the model."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from vaekit.errors import ArtifactError, UsageError
from vaekit.estimator import ModelOfRows, VariationalAutoencoder
from vaekit.export.description import describe_function
from vaekit.export.row_functions import RowFunction, Run, row_functions
from vaekit.runtime.randomness import seeded

__all__ = ["Exported", "Format", "export_model"]

Format = Literal["onnx", "torch"]

_EXAMPLES = 5
_CHECKED = (1, 2, 33)  # rows that every program is compared on
_CLOSE = 1e-5
_OPERATION = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.]+)'")


@dataclass(frozen=True)
class Exported:
    """The files of an export.

    Parameters
    ----------
    folder
        Where they are.
    files
        For each function its file's name.
    differences
        For each function the largest difference from the model, relative where the number is above 1.
    refused
        For each function that could not be exported the reason.
    """

    folder: Path
    files: dict[str, str]
    differences: dict[str, float]
    refused: dict[str, str]


def export_model(
    vae: VariationalAutoencoder,
    folder: str | Path,
    *,
    format: Format = "onnx",
    draws: int = 16,
    force: bool = False,
) -> Exported:
    """Write encoder, decoder, reconstruction and score of a fitted model as programs of their own.

    Each takes and gives rows in the units of the data, any number of them: scaling, categories (as the numbers of their
    places) and missing values (NaN) are inside. Names, units and categories stand in the metadata. Every program is run
    on rows that the model generates, and is left out, with the reason, unless it agrees with it to 1e-5.

    Parameters
    ----------
    vae
        A fitted model.
    folder
        Where to; it is made.
    format
        ``onnx``, which needs the extra ``export``, or ``torch``: programs of :func:`torch.export.save`.
    draws
        The number of draws that a score takes, whose noise is an input.
    force
        Whether to write over a folder.

    Raises
    ------
    UsageError
        For a format that there is none of, or packages that are missing.
    ArtifactError
        For a folder that is there, and a model of which no function can be exported.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from sklearn.datasets import load_iris
    >>> vae = VariationalAutoencoder(latent=2, network="mlp:hidden=8", epochs=1, random_state=0).fit(load_iris().data)
    >>> found = export_model(vae, Path(mkdtemp()) / "iris", format="torch")
    >>> sorted(found.files.values()), max(found.differences.values()) < 1e-5
    (['decoder.pt2', 'encoder.pt2', 'reconstruct.pt2', 'score.pt2'], True)
    >>> decoder = torch.export.load(found.folder / "decoder.pt2").module()
    >>> decoder(torch.zeros(3, 2))[0].shape
    torch.Size([3, 4])
    """
    folder = Path(folder)
    write = _writer(format)
    if draws < 1:
        raise UsageError(f"draws={draws}: give a whole number of at least 1")
    if folder.exists() and not force:
        raise ArtifactError(f"{folder} exists; give another name, or force=True to write over it")
    module, takes_missing = _module_of(vae)
    examples, condition = _generated(vae, module, _EXAMPLES)
    functions, refused = row_functions(module, examples, condition, draws=draws)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    files, differences = dict[str, str](), dict[str, float]()
    try:
        for function in functions:
            told = describe_function(vae, function, takes_missing=takes_missing)
            try:
                path, run = write(function, unfinished, told)
                difference = _largest_difference(vae, module, function, run, draws, takes_missing)
            except Exception as error:  # whatever the exporter of another library says
                refused[function.name] = _reason(error, format)
                continue
            if not difference <= _CLOSE:
                path.unlink()
                refused[function.name] = (
                    f"the program differs from the model by {difference:.2g} on rows that it generates; {_CLOSE:g} is "
                    "allowed"
                )
                continue
            files[function.name], differences[function.name] = path.name, difference
        if not files:
            told = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
            raise ArtifactError(f"this sentence of parts cannot be exported as {format}: {told}")
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return Exported(folder, files, differences, refused)


def _writer(format: str) -> Callable[[RowFunction, Path, dict[str, Any]], tuple[Path, Run]]:
    """Return the function that writes a program and gives back how to run it from its file."""
    if format == "torch":
        from vaekit.export.torch_format import write_program

        return write_program
    if format != "onnx":
        raise UsageError(f"format={format!r}: there are onnx and torch")
    try:
        from vaekit.export.onnx_format import write_onnx
    except ModuleNotFoundError as error:
        raise UsageError(
            f"format='onnx' needs the package {error.name}: pip install 'vaekit[export]', or give format='torch'"
        ) from error
    return write_onnx


def _reason(error: Exception, format: str) -> str:
    """Return in a line why an exporter failed."""
    causes = list[BaseException]()
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__
    if isinstance(causes[-1], NotImplementedError):
        return f"torch's exporter has no {format} for {causes[-1]}"
    operation = next((found for cause in causes if (found := _OPERATION.search(str(cause)))), None)
    if operation is not None:
        return f"torch's exporter has no {format} for {operation[1]}"
    lines = (line.strip() for line in str(error).splitlines())
    return next((line[:200] for line in lines if line), type(error).__name__)


def _module_of(vae: VariationalAutoencoder) -> tuple[ModelOfRows, bool]:
    """Return the model as a module on the CPU, and whether it takes missing values."""
    takes_missing = vae.schema_.kind == "table"
    try:
        module = vae.to_module(missing=takes_missing)
    except UsageError:
        module, takes_missing = vae.to_module(), False
    return module.cpu().eval(), takes_missing


def _generated(vae: VariationalAutoencoder, module: ModelOfRows, n: int) -> tuple[Tensor, Tensor | None]:
    """Return rows that the model generates, in the units of the data, and their conditions."""
    conditions = vae.schema_.conditions
    condition = None if conditions is None else torch.from_numpy(conditions.given("data", n, n))
    with seeded(n):
        rows = module.to_rows(module.model.sample(n, condition))
    return rows if vae.schema_.kind == "table" else rows.float(), condition


def _largest_difference(
    vae: VariationalAutoencoder,
    module: ModelOfRows,
    function: RowFunction,
    run: Run,
    draws: int,
    takes_missing: bool,
) -> float:
    """Return how far a program is from the model, over several numbers of rows, with missing cells among them."""
    largest = 0.0
    for n in _CHECKED:
        rows, condition = _generated(vae, module, n)
        if takes_missing:
            hidden = torch.rand(rows.shape, generator=torch.Generator().manual_seed(n)) < 0.2
            rows = torch.where(hidden, torch.nan, rows)
        inputs: list[Tensor] = []
        for name, example in zip(function.inputs, function.examples, strict=True):
            generator = torch.Generator().manual_seed(n)
            if name == "rows":
                inputs.append(rows)
            elif name == "condition" and condition is not None:
                inputs.append(condition)
            elif name == "noise":
                inputs.append(torch.randn(draws, n, example.shape[-1], generator=generator))
            else:
                inputs.append(example[torch.randint(len(example), (n,), generator=generator)])
        with torch.no_grad():
            expected = [output.numpy() for output in function.module(*inputs)]
        for output, truth in zip(run(tuple(inputs)), expected, strict=True):
            if output.shape != truth.shape or not np.array_equal(np.isnan(output), np.isnan(truth)):
                return float("inf")
            known = ~np.isnan(truth)
            with np.errstate(invalid="ignore"):
                apart = np.where(
                    output == truth, 0.0, np.abs(output - truth) / np.maximum(np.abs(truth), 1.0)
                )
            largest = max(largest, float(apart[known].max(initial=0.0)))
    return largest

"""A function of rows in ONNX, which services, browsers and other languages run."""

import json
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vaekit.export.onnx_translations import TRANSLATIONS
from vaekit.export.row_functions import RowFunction, Run
from vaekit.export.torch_format import export_program

__all__ = ["write_onnx"]

_ERROR = 3  # and above, of what onnxruntime says


def write_onnx(function: RowFunction, folder: Path, description: dict[str, Any]) -> tuple[Path, Run]:
    """Write ``NAME.onnx``, with the description in its metadata under ``vaekit``."""
    path = folder / f"{function.name}.onnx"
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it tells of operators of packages that nobody asked for
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _UncheckedFactors():
                traced = export_program(function)
            program = torch.onnx.export(
                traced,
                dynamo=True,
                input_names=list(function.inputs),
                output_names=list(function.outputs),
                custom_translation_table=TRANSLATIONS,
                optimize=False,  # it loses nodes; runtimes optimise what they load
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx gave no program")
    program.save(path)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"vaekit": json.dumps(description)})
    onnx.save(model, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERROR
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(inputs: tuple[Tensor, ...]) -> list[np.ndarray]:
        given = {name: tensor.numpy() for name, tensor in zip(function.inputs, inputs, strict=True)}
        return [np.asarray(output) for output in session.run(None, given)]

    return path, run


class _UncheckedFactors(TorchFunctionMode):
    """A block in which factors of matrices are found without the check for errors, which ONNX has no word for."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Factorise without a check, and leave all else as it is."""
        kwargs = {} if kwargs is None else kwargs
        if func is torch.linalg.cholesky:
            return torch.linalg.cholesky_ex(*args, **kwargs)[0]
        return func(*args, **kwargs)

"""Taking the parameters in: arrays to tensors, and the shapes they must have together."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vaekit.gaussian.errors import GaussianTypeError
from vaekit.gaussian.validation import check_shape

__all__ = ["EVENT_DIMENSIONS", "STRUCTURES", "ArrayLike", "Structure", "as_tensors", "check_shapes", "finish"]

ArrayLike: TypeAlias = Tensor | np.ndarray | Sequence[Any] | float
Structure: TypeAlias = Literal["full", "diagonal", "isotropic", "low_rank"]

#: What each parameterisation says about the covariance.
STRUCTURES: dict[str, Structure] = {
    "covariance": "full",
    "scale_tril": "full",
    "precision": "full",
    "variance": "diagonal",
    "standard_deviation": "diagonal",
    "scale": "isotropic",
    "factor": "low_rank",
}
#: How many trailing dimensions of each parameter belong to one Gaussian.
EVENT_DIMENSIONS = {
    "mean": 1,
    "covariance": 2,
    "scale_tril": 2,
    "precision": 2,
    "variance": 1,
    "standard_deviation": 1,
    "scale": 0,
    "factor": 2,
    "diagonal": 1,
}


def as_tensors(
    values: dict[str, Any], *, like: tuple[torch.dtype, torch.device] | None = None
) -> tuple[dict[str, Tensor], bool]:
    """Tensors of the values, and whether none of them was a tensor (the answer is then due in NumPy).

    Lists and Python numbers take the dtype of the tensors or arrays beside them, and float64 where there are
    none.
    """
    dtype, device = (None, None) if like is None else like
    numpy_in = True
    for value in values.values():
        if isinstance(value, Tensor):
            numpy_in = False
            dtype, device = dtype or value.dtype, device or value.device
        elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f" and dtype is None:
            dtype = torch.from_numpy(np.empty(0, value.dtype)).dtype
    tensors = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            tensors[name] = value
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise GaussianTypeError(f"{name} has dtype {array.dtype}; expected real numbers")
        if isinstance(value, np.ndarray) and array.dtype.kind == "f":
            tensors[name] = torch.tensor(array, device=device)
        else:
            tensors[name] = torch.as_tensor(array, dtype=dtype or torch.float64, device=device)
    return tensors, numpy_in


def finish(tensor: Tensor, to_numpy: bool) -> Any:
    """The tensor, or its NumPy array (a NumPy scalar where it has no dimensions)."""
    return tensor.detach().numpy()[()] if to_numpy else tensor


def check_shapes(tensors: dict[str, Tensor]) -> torch.Size:
    """The common batch shape, after checking that every parameter is of the mean's size."""
    mean = tensors["mean"]
    check_shape(mean.dim() >= 1, "mean is a number; expected a vector of shape (..., k); try [mean]")
    k = mean.shape[-1]
    check_shape(k >= 1, f"mean has shape {tuple(mean.shape)}; expected at least one coordinate")
    batches = {}
    for name, tensor in tensors.items():
        dims, shape = EVENT_DIMENSIONS[name], tensor.shape
        split = len(shape) - dims
        if split < 0 or (dims and shape[split] != k) or (dims == 2 and name != "factor" and shape[-1] != k):
            expected = ("(...)", f"(..., {k})", f"(..., {k}, {'r' if name == 'factor' else k})")[dims]
            check_shape(
                False,
                f"{name} has shape {tuple(shape)} but mean has shape {tuple(mean.shape)}; expected {name} of "
                "shape "
                f"{expected}"
                + ("; a vector of variances is variance=" if dims == 2 and len(shape) == 1 else ""),
            )
        batches[name] = shape[:split]
    first = batches["mean"]
    if all(batch == first for batch in batches.values()):
        return first
    try:
        return torch.broadcast_shapes(*batches.values())
    except RuntimeError:
        shapes = ", ".join(f"{name} {tuple(shape)}" for name, shape in batches.items())
        check_shape(False, f"the batch shapes do not broadcast: {shapes}; expected equal sizes or 1")
        raise

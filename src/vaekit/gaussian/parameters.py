"""Taking the parameters in: arrays to tensors, and checks of shapes, dtypes and values at the public boundary.

A matrix `S` counts as symmetric when `|S_ij - S_ji| <= tolerance * sqrt(|S_ii S_jj|)`: relative to the
matrix, entry by entry, so that neither a covariance of order 1e-300 nor one of mixed units is misjudged. What
is used is its symmetric part `(S + S^T) / 2`. Values cannot be looked at while a graph is being traced
(`torch.compile`) or under `torch.func.vmap`; shapes and dtypes are checked always.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]

from vaekit.gaussian.exceptions import (
    AsymmetricCovarianceError,
    GaussianError,
    GaussianShapeError,
    GaussianTypeError,
    NotPositiveDefiniteError,
)

__all__ = [
    "EVENT_DIMENSIONS",
    "STRUCTURES",
    "ArrayLike",
    "Parameterised",
    "Structure",
    "as_tensors",
    "asymmetric_items",
    "check_finite",
    "check_nonnegative",
    "check_one_kind",
    "check_shape",
    "check_shapes",
    "check_symmetric",
    "finish",
    "first_index",
    "is_concrete",
    "not_positive_definite",
]

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


class Parameterised(Protocol):
    """A Gaussian as the formulas see it: its parameters, their kind, and the factors that it keeps."""

    parameters: dict[str, Tensor]
    parameterisation: str
    structure: Structure
    dimension: int
    dtype: torch.dtype
    device: torch.device
    resolution: float

    def lower_factor(self) -> Tensor:
        """Return the lower triangular factor of the covariance, without gradients."""
        ...

    def exact_mahalanobis(self, difference: Tensor) -> Tensor | None:
        """Return `d^T S^-1 d` where the covariance is ill-conditioned, NaN elsewhere.

        None if it is nowhere.
        """
        ...


def as_tensors(
    values: dict[str, Any], *, like: tuple[torch.dtype, torch.device] | None = None
) -> tuple[dict[str, Tensor], bool]:
    """Return tensors of the values, and whether none of them was a tensor (the answer is then due in NumPy).

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
            tensors[name] = torch.from_numpy(np.array(array)).to(device=device)
        else:
            tensors[name] = torch.as_tensor(array, dtype=dtype or torch.float64, device=device or "cpu")
    return tensors, numpy_in


def finish(tensor: Tensor, to_numpy: bool) -> Any:
    """Return the tensor, or its NumPy array (a NumPy scalar where it has no dimensions)."""
    return tensor.detach().numpy()[()] if to_numpy else tensor


def check_shapes(tensors: dict[str, Tensor]) -> torch.Size:
    """Return the common batch shape, after checking that every parameter is of the mean's size."""
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
                f"shape {expected}"
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


#: Largest relative asymmetry that is taken for rounding, by dtype.
SYMMETRY_TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}

WHAT_TO_TRY = (
    "Try a shrunk or regularised covariance (S + c*I with a c you choose), more samples than dimensions, "
    "or factor= and diagonal= for a low-rank structure; nothing is added to the diagonal here unasked"
)


def is_concrete(*tensors: Tensor) -> bool:
    """Return whether the values may be looked at: not while compiling, nor inside a functorch transform."""
    if torch.compiler.is_compiling():
        return False
    for tensor in tensors:  # noqa: SIM110 (a generator takes twice the time, and this is asked often)
        if is_functorch_wrapped_tensor(tensor) or tensor.is_meta:
            return False
    return True


def first_index(bad: Tensor) -> tuple[int, ...]:
    """Return the index of the first True entry."""
    return tuple(int(i) for i in torch.argwhere(bad)[:1].flatten().tolist())


def describe_index(index: tuple[int, ...]) -> str:
    """Return ``' at batch index (3, 1)'``, or nothing for an unbatched argument."""
    return f" at batch index {index if len(index) != 1 else index[-1]}" if index else ""


def check_one_kind(tensors: dict[str, Tensor]) -> None:
    """Raise an error unless all arguments are floating point, of one dtype and on one device."""
    first_name, first = next(iter(tensors.items()))
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise GaussianTypeError(
                f"{name} has dtype {tensor.dtype}; expected a real floating-point dtype; try {name}.double()"
            )
        if tensor.dtype != first.dtype:
            raise GaussianTypeError(
                f"{first_name} is {first.dtype} but {name} is {tensor.dtype}; one dtype is expected, since "
                f"a silent cast would hide which digits are real; try {name}.to({first.dtype})"
            )
        if tensor.device != first.device:
            raise GaussianTypeError(
                f"{first_name} is on {first.device} but {name} is on {tensor.device}; "
                f"try {name}.to({str(first.device)!r})"
            )


def check_shape(condition: bool, message: str) -> None:
    """Raise a shape error with the message unless the condition holds."""
    if not condition:
        raise GaussianShapeError(message)


def check_finite(tensor: Tensor, name: str, event_dimensions: int) -> None:
    """Raise an error unless every entry is finite."""
    finite = tensor.isfinite()
    if bool(finite.all()):
        return
    index = first_index(~finite)
    batch = index[: tensor.dim() - event_dimensions]
    raise GaussianError(
        f"{name} holds {tensor[index].item()} at index {index}; expected finite numbers; "
        "try dropping or imputing that item first",
        batch_index=batch,
    )


def check_nonnegative(tensor: Tensor, name: str, event_dimensions: int) -> None:
    """Raise an error unless every entry is finite and at least 0 (0 makes the Gaussian singular)."""
    good = (tensor >= 0) & tensor.isfinite()
    if bool(good.all()):
        return
    check_finite(tensor, name, event_dimensions)
    index = first_index(~good)
    batch = index[: tensor.dim() - event_dimensions]
    raise NotPositiveDefiniteError(
        f"{name} holds {tensor[index].item():.6g}{describe_index(batch)} (index {index}); expected positive "
        "numbers (0 for a degenerate direction); if this is a logarithm, try its exp()",
        batch_index=batch,
    )


def symmetry_defect(matrix: Tensor) -> Tensor:
    """Return the entrywise `|S_ij - S_ji| / sqrt(|S_ii S_jj|)`, with 0/0 = 0."""
    root = matrix.diagonal(dim1=-2, dim2=-1).abs().sqrt()
    difference = (matrix - matrix.mT).abs()
    defect = (difference / root.unsqueeze(-1)) / root.unsqueeze(-2)
    return torch.where(difference == 0, torch.zeros_like(defect), defect)


def asymmetric_items(matrix: Tensor) -> Tensor:
    """Return which matrices, (...) of bool, are not symmetric within the tolerance of their dtype."""
    matrix = matrix.detach()
    tolerance = SYMMETRY_TOLERANCE.get(matrix.dtype, 1e-5)
    # Cheap and sufficient: the largest difference against the smallest variance.
    if bool((matrix - matrix.mT).abs().amax() <= tolerance * matrix.diagonal(dim1=-2, dim2=-1).amin()):
        return torch.zeros(matrix.shape[:-2], dtype=torch.bool, device=matrix.device)
    return ~(symmetry_defect(matrix.double()).amax((-2, -1)) <= tolerance)


def check_symmetric(matrix: Tensor, name: str) -> None:
    """Raise an error unless the matrix is finite, and symmetric relative to its own size."""
    tolerance = SYMMETRY_TOLERANCE.get(matrix.dtype, 1e-5)
    matrix = matrix.detach()
    check_finite(matrix, name, 2)
    if torch.equal(matrix, matrix.mT):
        return
    defect = symmetry_defect(matrix.double())
    worst = defect.amax(dim=(-2, -1))
    bad = ~(worst <= tolerance)
    if not bool(bad.any()):
        return
    index = first_index(bad)
    item = matrix[index].double()
    row, column = divmod(int(defect[index].argmax()), item.shape[-1])
    relative = float((item - item.mT).norm() / item.norm())
    raise AsymmetricCovarianceError(
        f"{name} is not symmetric{describe_index(index)}: |S - S^T| / |S| = {relative:.3g} (entry [{row}, "
        f"{column}] is "
        f"{item[row, column].item():.8g}, entry [{column}, {row}] is {item[column, row].item():.8g}); "
        f"expected at most {tolerance:g} relative to the diagonal; if the difference is rounding, try (S + S.mT) / 2",
        batch_index=index,
    )


def not_positive_definite(matrix: Tensor, name: str, index: tuple[int, ...]) -> NotPositiveDefiniteError:
    """Return the error for the item at ``index`` of a symmetric matrix that has no Cholesky factor."""
    item = matrix[index].detach().double().cpu()
    item = (item + item.mT) / 2
    eigenvalues = torch.linalg.eigvalsh(item)
    minor = int(torch.linalg.cholesky_ex(item).info) or item.shape[-1]
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    return NotPositiveDefiniteError(
        f"{name} is not positive definite{describe_index(index)}: the leading minor of order {minor} is not "
        f"positive and the smallest eigenvalue is {smallest:.6g} (largest {largest:.6g}). {WHAT_TO_TRY}",
        batch_index=index,
        leading_minor=minor,
        smallest_eigenvalue=smallest,
    )

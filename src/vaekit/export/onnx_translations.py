r"""Operations of torch that torch's own exporter cannot say in ONNX, written in operations that ONNX has.

The logarithm of the gamma function, of counts and heavy tails:

.. math:: \log\Gamma(x) = \log\Gamma(x + 8) - \log \prod_{i < 8} (x + i), \qquad
          \log\Gamma(y) = \left(y - \tfrac 12\right) \log y - y + \tfrac 12 \log 2 \pi
          + \frac 1{12 y} - \frac 1{360 y^3} + \frac 1{1260 y^5} - \frac 1{1680 y^7} + \dots

Abramowitz and Stegun (1964), equations 6.1.15 and 6.1.40. For :math:`x > 0` the first term left out is below 2e-11.
Beside it the softplus :math:`\log(1 + e^x)`, the distances :math:`\lVert a - b \rVert` of codebooks, and factors and
triangular systems of small matrices, which full and low-rank posteriors need: each row of
:math:`x_i = \bigl(b_i - \sum_{j < i} L_{ij} x_j\bigr) / L_{ii}` is an operation of its own, for at most 16 of them.
"""

from collections.abc import Callable
from math import log, pi
from typing import Any

import onnx
import torch
from onnxscript.onnx_opset import opset18

__all__ = ["TRANSLATIONS"]

_LARGEST = 16  # matrices that are written out row by row
_SHIFT = 8
_SERIES = (-1 / 1680, 1 / 1260, -1 / 360, 1 / 12)
_DOUBLE = 11  # the number of float64 in ONNX

op: Any = opset18  # its operations have no types


def _log_gamma(x: Any) -> Any:
    wide, one = op.Cast(x, to=_DOUBLE), _precise(1.0)
    product, y = wide, op.Add(wide, one)
    for _ in range(_SHIFT - 1):
        product, y = op.Mul(product, y), op.Add(y, one)
    square = op.Div(one, op.Mul(y, y))
    series = _precise(_SERIES[0])
    for coefficient in _SERIES[1:]:
        series = op.Add(op.Mul(series, square), _precise(coefficient))
    main = op.Sub(op.Mul(op.Sub(y, _precise(0.5)), op.Log(y)), y)
    large = op.Add(op.Add(main, _precise(0.5 * log(2 * pi))), op.Div(series, y))
    return op.CastLike(op.Sub(large, op.Log(product)), x)


def _precise(value: float) -> Any:
    return op.Constant(value=onnx.helper.make_tensor("value", _DOUBLE, [], [value]))


def _distances(a: Any, b: Any, p: float = 2.0, compute_mode: int | None = None) -> Any:
    if p != 2.0:
        raise NotImplementedError(f"distances of order {p}")
    apart = op.Sub(
        op.Unsqueeze(a, op.Constant(value_ints=[-2])), op.Unsqueeze(b, op.Constant(value_ints=[-3]))
    )
    return op.ReduceL2(apart, op.Constant(value_ints=[-1]), keepdims=0)


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Computed of float64 too, which runtimes have no operation for."""
    one, scale = (op.CastLike(_precise(value), x) for value in (1.0, beta))
    scaled = op.Mul(x, scale)
    bent = op.Log(op.Add(one, op.Exp(op.Neg(op.Abs(scaled)))))
    return op.Div(op.Add(op.Relu(scaled), bent), scale)


def _solve_triangular(
    a: Any, b: Any, upper: bool = False, left: bool = True, unitriangular: bool = False
) -> Any:
    """Solve a x = b row after row, for (..., k, k) and (..., k, m)."""
    if upper or not left or unitriangular:
        raise NotImplementedError("a triangular system that is not a lower one")
    solved: Any = None
    for i in range(_size(a)):
        right = _part(b, i, i + 1, -2)
        if solved is not None:
            right = op.Sub(right, op.MatMul(_part(_part(a, i, i + 1, -2), 0, i, -1), solved))
        row = op.Div(right, _part(_part(a, i, i + 1, -2), i, i + 1, -1))
        solved = row if solved is None else op.Concat(solved, row, axis=-2)
    return solved


def _cholesky(a: Any, upper: bool = False, check_errors: bool = False) -> Any:
    """Factorise column after column; beside the factor stands 0, for a matrix that has one."""
    if upper:
        raise NotImplementedError("an upper factor")
    size = _size(a)
    factor: Any = None
    for j in range(size):
        column = _part(_part(a, j, size, -2), j, j + 1, -1)
        if factor is not None:
            known = _part(factor, j, size, -2)
            mine = op.Unsqueeze(op.Squeeze(_part(known, 0, 1, -2), _whole(-2)), _whole(-1))
            column = op.Sub(column, op.MatMul(known, mine))
        column = op.Div(column, op.Sqrt(_part(column, 0, 1, -2)))
        if factor is None:
            factor = column
            continue
        above = op.Sub(_part(factor, 0, j, -2), _part(factor, 0, j, -2))  # zeros
        factor = op.Concat(factor, op.Concat(_part(above, 0, 1, -1), column, axis=-2), axis=-1)
    return factor, op.Constant(value_int=0)


def _cholesky_solve(b: Any, factor: Any, upper: bool = False) -> Any:
    """Solve (L L') x = b: first with L, then with its transpose, from the last row to the first."""
    half, size = _solve_triangular(factor, b, upper), _size(factor)
    solved: Any = None
    for i in reversed(range(size)):
        column = _part(factor, i, i + 1, -1)
        right = _part(half, i, i + 1, -2)
        if solved is not None:
            below = op.Unsqueeze(op.Squeeze(_part(column, i + 1, size, -2), _whole(-1)), _whole(-2))
            right = op.Sub(right, op.MatMul(below, solved))
        row = op.Div(right, _part(column, i, i + 1, -2))
        solved = row if solved is None else op.Concat(row, solved, axis=-2)
    return solved


def _size(matrix: Any) -> int:
    """Return the number of rows of a square matrix, which is written out."""
    size = matrix.shape[-1]
    if not isinstance(size, int) or size > _LARGEST:
        raise NotImplementedError(f"a matrix of {size} rows, of which at most {_LARGEST} are written out")
    return size


def _part(values: Any, start: int, end: int, axis: int) -> Any:
    return op.Slice(values, _whole(start), _whole(end), _whole(axis))


def _whole(value: int) -> Any:
    return op.Constant(value_ints=[value])


#: Operations of torch, and how ONNX computes them.
TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.lgamma.default: _log_gamma,
    torch.ops.aten.softplus.default: _softplus,
    torch.ops.aten.linalg_solve_triangular.default: _solve_triangular,
    torch.ops.aten.linalg_cholesky_ex.default: _cholesky,
    torch.ops.aten.cholesky_solve.default: _cholesky_solve,
    torch.ops.aten._cdist_forward.default: _distances,  # pyright: ignore[reportPrivateUsage]
}

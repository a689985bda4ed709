r"""Operations of torch that torch's own exporter cannot say in ONNX, written in operations that ONNX has.

The logarithm of the gamma function, of counts and heavy tails:

.. math:: \log\Gamma(x) = \log\Gamma(x + 8) - \log \prod_{i < 8} (x + i), \qquad
          \log\Gamma(y) = \left(y - \tfrac 12\right) \log y - y + \tfrac 12 \log 2 \pi
          + \frac 1{12 y} - \frac 1{360 y^3} + \frac 1{1260 y^5} - \frac 1{1680 y^7} + \dots

Abramowitz and Stegun (1964), equations 6.1.15 and 6.1.40. For :math:`x > 0` the first term left out is below 2e-11.
Beside it the softplus :math:`\log(1 + e^x)`, and the distances :math:`\lVert a - b \rVert` of codebooks.
"""

from collections.abc import Callable
from math import log, pi
from typing import Any

import onnx
import torch
from onnxscript.onnx_opset import opset18

__all__ = ["TRANSLATIONS"]

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


#: Operations of torch, and how ONNX computes them.
TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.lgamma.default: _log_gamma,
    torch.ops.aten.softplus.default: _softplus,
    torch.ops.aten._cdist_forward.default: _distances,  # pyright: ignore[reportPrivateUsage]
}

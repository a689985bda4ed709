r"""Elementary functions where the textbook expression cancels.

$$ u - \log(1 + u) = r \Big( u - 2 r^2 \sum_{j \ge 0} \frac{r^{2j}}{2j + 3} \Big), \; r = \frac{u}{2 + u}, $$

from `log(1 + u) = 2 artanh(r)` and `u - 2 r = u r`; near 0 the difference on the left keeps no digit, and the
right
side all of them.
"""

import torch
from torch import Tensor

__all__ = ["log_excess", "log_excess_series"]

#: Up to this |r| the series is used (-0.305 < u < 0.439), and above it the plain difference, which has lost 2
#: bits there.
SERIES_RADIUS = 0.18
#: 1/3, 1/5, 1/7, ...: enough terms for the last bit of float64 at the radius.
SERIES_COEFFICIENTS = tuple(1 / (2 * j + 3) for j in range(10))
#: The terms that the last bit of float32 needs.
SINGLE_TERMS = 4


def log_excess(u: Tensor, ratio: Tensor | None = None) -> Tensor:
    """`u - log(1 + u)`, at least 0 and accurate to the last bits for every `u > -1`.

    ``ratio`` is `1 + u` where the caller knows it better than the addition would give it. Not differentiable
    by itself: it is for use inside autograd functions, where the derivative is `u / (1 + u)`.

    >>> float(log_excess(torch.tensor(1e-9, dtype=torch.float64)))
    4.999999996666666e-19
    """
    near, is_near = log_excess_series(u)
    return torch.where(is_near, near, u - torch.log(1 + u if ratio is None else ratio))


def log_excess_series(u: Tensor) -> tuple[Tensor, Tensor]:
    """The series, and where it holds."""
    r = u / (2 + u)
    s = r * r
    coefficients = SERIES_COEFFICIENTS if u.dtype == torch.float64 else SERIES_COEFFICIENTS[:SINGLE_TERMS]
    series = torch.full_like(s, coefficients[-1])
    recorded = torch.compiler.is_compiling() or s.requires_grad
    for c in reversed(coefficients[:-1]):
        series = series * s + c if recorded else series.mul_(s).add_(c)
    return r * (u - 2 * s * series), r.abs() < SERIES_RADIUS

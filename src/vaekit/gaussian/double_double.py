r"""Arithmetic with about 32 digits.

A number is the unevaluated sum `hi + lo` of two float64, `|lo| <= ulp(hi) / 2`. The error-free
transformations are Knuth's two-sum and Dekker's product with Veltkamp's splitting (T. J. Dekker, "A
floating-point technique for extending the available precision", Numerische Mathematik 18, 1971). The relative
error of an operation is below 2^-102. Entries must stay within 1e-140 and 1e140, so that no product or split
over- or underflows: the caller scales by powers of two first.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

__all__ = [
    "DoubleDouble",
    "cholesky",
    "exponential",
    "logarithm",
    "solve_lower_exact",
    "two_product",
    "two_sum",
]

SPLITTER = 134217729.0  # 2^27 + 1


def two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return `a + b` and its rounding error."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def two_product(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return `a b` and its rounding error."""
    p = a * b
    c = SPLITTER * a
    a1 = c - (c - a)
    a2 = a - a1
    c = SPLITTER * b
    b1 = c - (c - b)
    b2 = b - b1
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


@dataclass(frozen=True)
class DoubleDouble:
    """An array of numbers `hi + lo`, with elementwise arithmetic, transposition and indexing.

    >>> one, tiny = torch.ones((), dtype=torch.float64), torch.tensor(1e-20, dtype=torch.float64)
    >>> float((DoubleDouble.of(one) + DoubleDouble.of(tiny) - DoubleDouble.of(one)).value)
    1e-20
    """

    hi: Tensor
    lo: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """Return the exact value of a float64 tensor."""
        return cls(tensor, torch.zeros_like(tensor))

    @classmethod
    def sum_of(cls, hi: Tensor, lo: Tensor) -> Self:
        """Return the sum of a large and a small part."""
        s = hi + lo
        return cls(s, lo - (s - hi))

    @property
    def value(self) -> Tensor:
        """The number rounded to float64."""
        return self.hi + self.lo

    @property
    def mT(self) -> "DoubleDouble":  # noqa: N802
        """The matrix transpose."""
        return DoubleDouble(self.hi.mT, self.lo.mT)

    def __getitem__(self, index: Any) -> "DoubleDouble":
        return DoubleDouble(self.hi[index], self.lo[index])

    def diagonal(self) -> "DoubleDouble":
        """Return the diagonal of the last two dimensions."""
        return DoubleDouble(self.hi.diagonal(dim1=-2, dim2=-1), self.lo.diagonal(dim1=-2, dim2=-1))

    def unsqueeze(self, dimension: int) -> "DoubleDouble":
        """Return it with one more dimension, as `Tensor.unsqueeze` does."""
        return DoubleDouble(self.hi.unsqueeze(dimension), self.lo.unsqueeze(dimension))

    def times_power(self, power: Tensor) -> "DoubleDouble":
        """Return the product with powers of two, which is exact."""
        return DoubleDouble(self.hi * power, self.lo * power)

    def __neg__(self) -> "DoubleDouble":
        return DoubleDouble(-self.hi, -self.lo)

    def __add__(self, other: "DoubleDouble") -> "DoubleDouble":
        s, e = two_sum(self.hi, other.hi)
        t, f = two_sum(self.lo, other.lo)
        first = DoubleDouble.sum_of(s, e + t)
        return DoubleDouble.sum_of(first.hi, first.lo + f)

    def __sub__(self, other: "DoubleDouble") -> "DoubleDouble":
        return self + (-other)

    def __mul__(self, other: "DoubleDouble") -> "DoubleDouble":
        p, e = two_product(self.hi, other.hi)
        return DoubleDouble.sum_of(p, e + (self.hi * other.lo + self.lo * other.hi))

    def __truediv__(self, other: "DoubleDouble") -> "DoubleDouble":
        q1 = self.hi / other.hi
        r = self - other * DoubleDouble.of(q1)
        q2 = r.hi / other.hi
        r = r - other * DoubleDouble.of(q2)
        return DoubleDouble.sum_of(q1, q2) + DoubleDouble.of(r.hi / other.hi)

    def sqrt(self) -> "DoubleDouble":
        """Return the square root, by one Newton step; NaN for negative numbers."""
        root = self.hi.sqrt()
        p, e = two_product(root, root)
        rest = (self.hi - p) - e + self.lo
        return DoubleDouble.sum_of(root, torch.where(root > 0, rest / (2 * root), root))

    def __matmul__(self, other: "DoubleDouble") -> "DoubleDouble":
        total = self[..., :, :1] * other[..., :1, :]
        for j in range(1, self.hi.shape[-1]):
            total = total + self[..., :, j : j + 1] * other[..., j : j + 1, :]
        return total

    def sum(self) -> "DoubleDouble":
        """Return the sum over the last dimension, added by halves."""
        total = self
        while (n := total.hi.shape[-1]) > 1:
            half = n // 2
            folded = total[..., :half] + total[..., half : 2 * half]
            rest = total[..., 2 * half :]
            total = DoubleDouble(torch.cat([folded.hi, rest.hi], -1), torch.cat([folded.lo, rest.lo], -1))
        return DoubleDouble(total.hi.sum(-1), total.lo.sum(-1))


def cholesky(S: DoubleDouble) -> DoubleDouble:
    """Return the lower triangular `L` with `L L^T = S`; NaN in the items where a pivot is not positive."""
    k = S.hi.shape[-1]
    hi, lo = torch.zeros_like(S.hi), torch.zeros_like(S.lo)
    rest = S
    for j in range(k):
        pivot = rest[..., 0, 0]
        positive = pivot.hi > 0
        pivot = DoubleDouble(torch.where(positive, pivot.hi, torch.nan), pivot.lo)
        column = rest[..., :, 0] / pivot.sqrt().unsqueeze(-1)
        hi[..., j:, j], lo[..., j:, j] = column.hi, column.lo
        below = column[..., 1:]
        rest = rest[..., 1:, 1:] - below.unsqueeze(-1) * below.unsqueeze(-2)
    return DoubleDouble(hi, lo)


def solve_lower_exact(L: DoubleDouble, B: DoubleDouble) -> DoubleDouble:
    """Return `L^-1 B` for a lower triangular `L`."""
    k = L.hi.shape[-1]
    rows: list[DoubleDouble] = []
    rest = B
    for j in range(k):
        row = rest[..., :1, :] / L[..., j : j + 1, j : j + 1]
        rows.append(row)
        rest = rest[..., 1:, :] - L[..., j + 1 :, j : j + 1] * row
    return DoubleDouble(torch.cat([r.hi for r in rows], -2), torch.cat([r.lo for r in rows], -2))


def logarithm(x: DoubleDouble) -> DoubleDouble:
    """Return `log x`, as `y + 2 artanh((x - e^y) / (x + e^y))` with the rounded logarithm `y`."""
    y = torch.log(x.hi)
    expy = exponential(y)
    r = (x - expy) / (x + expy)
    return DoubleDouble.of(y) + r + r


def exponential(y: Tensor) -> DoubleDouble:
    """Return `e^y`.

    The argument is halved 12 times, put into the Taylor series, and the result squared as often.
    """
    squarings = 12
    u = DoubleDouble.of(y * 2.0**-squarings)
    term = DoubleDouble.of(torch.ones_like(y))
    total = DoubleDouble.of(torch.zeros_like(y))  # e^u - 1
    for n in range(1, 14):
        term = term * u / DoubleDouble.of(torch.full_like(y, float(n)))
        total = total + term
    for _ in range(squarings):
        total = total + total + total * total
    return total + DoubleDouble.of(torch.ones_like(y))

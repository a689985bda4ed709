r"""The divergence and its gradients in double-double arithmetic: right to the last digits for the given bits.

The quantities are those of `dense`. The coordinates are first multiplied by powers of two, which is exact, so
that the variances of q lie between 1/4 and 4. Everything is computed to about 32 digits and rounded once at
the end: a condition number of 1e14 costs 14 of the 32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.gaussian.double_double import DoubleDouble, cholesky, solve_lower_exact, two_product, two_sum
from vaekit.gaussian.stable import identity_like, log_excess_series

__all__ = [
    "ExactDivergence",
    "ExactRoot",
    "covariance_exactly",
    "exact_divergence",
    "exact_root",
    "power_of_two_scale",
]

#: Items with every entry of `X` below this are close: `X` is then found from the difference.
NEAR = 0.5


@dataclass(frozen=True)
class ExactDivergence:
    """The value (...), rounded, and what its gradients are made of."""

    value: Tensor
    root_q: DoubleDouble
    X: DoubleDouble
    z: DoubleDouble
    power: Tensor

    def gradients(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return those by the mean of p (..., k), the covariance of p and that of q (..., k, k)."""
        identity = torch.eye(self.X.hi.shape[-1], dtype=torch.float64, device=self.X.hi.device)
        eye = DoubleDouble.of(identity.expand(self.X.hi.shape))
        W = solve_lower_exact(self.root_q, eye)
        Y = solve_lower_exact(self.X + eye, self.X)
        relative = Y + Y.mT - Y.mT @ Y
        z = self.z.unsqueeze(-1)
        moment = self.X + self.X.mT + self.X @ self.X.mT + z * z.mT
        outer = self.power.unsqueeze(-1)
        by_p = 0.5 * (W.mT @ relative @ W).value * outer * outer.mT
        by_q = -0.5 * (W.mT @ moment @ W).value * outer * outer.mT
        return (W.mT @ z).value.squeeze(-1) * self.power, by_p, by_q

    def frame(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return, rounded, `D`, `z`, `L_q^-1`, `I + X` and its inverse, with `D = X + X^T + X X^T`."""
        eye = DoubleDouble.of(identity_like(self.X.hi))
        W, M = solve_lower_exact(self.root_q, eye), self.X + eye
        D = (self.X + self.X.mT + self.X @ self.X.mT).value
        inverse = solve_lower_exact(M, eye).value
        return 0.5 * (D + D.mT), self.z.value, W.value * self.power.unsqueeze(-2), M.value, inverse


@dataclass(frozen=True)
class ExactRoot:
    """The lower triangular factor of `diag(power) S diag(power)`, items (n, k, k), and these powers of two (n, k)."""

    factor: DoubleDouble
    power: Tensor

    def lower(self) -> Tensor:
        """Return the factor of `S`, rounded."""
        return self.factor.value / self.power.unsqueeze(-1)

    def squared_mahalanobis(self, difference: Tensor, item: Tensor) -> Tensor:
        """Return `d^T S^-1 d` for differences (m, k), each for the item of that number (m)."""
        L, scaled = self.factor[item], DoubleDouble.of((difference * self.power[item]).unsqueeze(-1))
        z = solve_lower_exact(L, scaled)[..., 0]
        return (z * z).sum().value


def exact_root(kind: str, parameters: tuple[Tensor, ...], dimension: int) -> ExactRoot:
    """Return the factor of covariances (n, ...) in double-double; NaN in the items that have none."""
    power = power_of_two_scale(rough_variance(kind, parameters))
    return ExactRoot(
        cholesky(covariance_exactly(kind, scaled_parameters(kind, parameters, power), dimension)), power
    )


def rough_variance(kind: str, parameters: tuple[Tensor, ...]) -> Tensor:
    """Return the order of magnitude of the variances of a full or low-rank covariance, (..., k)."""
    first = parameters[0]
    if kind == "precision":
        return 1 / first.diagonal(dim1=-2, dim2=-1)
    if kind == "covariance":
        return first.diagonal(dim1=-2, dim2=-1)
    squares = first.square().sum(-1)
    return squares + parameters[1] if kind == "factor" else squares


def exact_divergence(
    mean_difference: tuple[Tensor, Tensor],
    p: tuple[str, tuple[Tensor, ...]],
    q: tuple[str, tuple[Tensor, ...]],
    variance_q: Tensor,
) -> ExactDivergence:
    """Return the divergence of `(kind, parameters)` pairs; NaN in the items that have no Cholesky factor.

    Parameters
    ----------
    mean_difference : the means of p and q (..., k)
    p, q : a parameterisation and its tensors
    variance_q : the diagonal of the covariance of q, roughly, for the scaling
    """
    k = variance_q.shape[-1]
    p, q = (elementwise(*g) for g in (p, q))
    power = power_of_two_scale(variance_q)
    S_p = covariance_exactly(p[0], scaled_parameters(*p, power), k)
    S_q = covariance_exactly(q[0], scaled_parameters(*q, power), k)
    m_p, m_q = (DoubleDouble.of(m * power) for m in mean_difference)
    batch = torch.broadcast_shapes(S_p.hi.shape, S_q.hi.shape, (*(m_p - m_q).hi.shape, 1))
    batch = (*batch[:-2], k, k)
    S_p, S_q = (DoubleDouble(S.hi.expand(batch), S.lo.expand(batch)) for S in (S_p, S_q))
    L_p, L_q = cholesky(S_p), cholesky(S_q)
    difference = m_p - m_q
    column = DoubleDouble(difference.hi.expand(batch[:-1]), difference.lo.expand(batch[:-1])).unsqueeze(-1)
    z = solve_lower_exact(L_q, column)[..., 0]
    identity = DoubleDouble.of(torch.eye(k, dtype=torch.float64, device=power.device).expand(batch))
    M = solve_lower_exact(L_q, L_p)
    excess = M - identity
    near = excess.hi.abs().amax((-2, -1)) < NEAR
    if bool(near.any()):
        half = solve_lower_exact(L_q, S_p - S_q)
        refined = cholesky(solve_lower_exact(L_q, half.mT) + identity) - identity
        pick = near[..., None, None]
        excess = DoubleDouble(
            torch.where(pick, refined.hi, excess.hi), torch.where(pick, refined.lo, excess.lo)
        )
    lower = torch.ones(k, k, dtype=torch.bool, device=power.device).tril()
    X = DoubleDouble(excess.hi.where(lower, 0.0), excess.lo.where(lower, 0.0))
    return ExactDivergence(value_of(X, M.diagonal(), z), L_q, X, z, power)


def value_of(X: DoubleDouble, ratio: DoubleDouble, z: DoubleDouble) -> Tensor:
    """Return `sum_i (t_i - log(1 + t_i)) + (|X|^2 + |z|^2) / 2`, summed in double-double."""
    t = X.diagonal()
    series, is_near = log_excess_series(t.hi)
    series = series + t.lo * (t.hi / (1 + t.hi))
    logarithm = -torch.log(ratio.hi) - ratio.lo / ratio.hi
    zero = torch.zeros_like(series)
    terms = DoubleDouble.of(torch.where(is_near, series, logarithm))
    terms = terms + DoubleDouble(torch.where(is_near, zero, t.hi), torch.where(is_near, zero, t.lo))
    flat = DoubleDouble(X.hi.flatten(-2), X.lo.flatten(-2))
    squares = (flat * flat).sum() + (z * z).sum()
    return (terms.sum() + squares.times_power(torch.full_like(squares.hi, 0.5))).value


def power_of_two_scale(variance: Tensor) -> Tensor:
    """Return powers of two `s` with `s^2 variance` between 1/4 and 4."""
    _, exponent = torch.frexp(variance.sqrt())
    return torch.ldexp(torch.ones_like(variance), -exponent)


def elementwise(kind: str, parameters: tuple[Tensor, ...]) -> tuple[str, tuple[Tensor, ...]]:
    """Return an isotropic covariance as a diagonal one: scaling makes it that."""
    return ("standard_deviation", (parameters[0].unsqueeze(-1),)) if kind == "scale" else (kind, parameters)


def scaled_parameters(kind: str, parameters: tuple[Tensor, ...], power: Tensor) -> tuple[Tensor, ...]:
    """Return the parameters of the Gaussian of `diag(power) x`, exactly."""
    first = parameters[0]
    row = power.unsqueeze(-1)
    if kind == "covariance":
        return (first * row * row.mT,)
    if kind == "precision":
        return (first / row / row.mT,)
    if kind == "scale_tril":
        return (first * row,)
    if kind == "factor":
        return (first * row, parameters[1] * power * power)
    if kind == "variance":
        return (first * power * power,)
    return (first * power,)


def covariance_exactly(kind: str, parameters: tuple[Tensor, ...], dimension: int) -> DoubleDouble:
    """Return the covariance to about 32 digits."""
    first = parameters[0]
    if kind == "covariance":
        return DoubleDouble(*two_sum(0.5 * first, 0.5 * first.mT))
    if kind == "scale_tril":
        factor = DoubleDouble.of(first.tril())
        return factor @ factor.mT
    if kind == "factor":
        factor = DoubleDouble.of(first)
        return factor @ factor.mT + DoubleDouble.of(torch.diag_embed(parameters[1]))
    if kind == "precision":
        factor = cholesky(DoubleDouble(*two_sum(0.5 * first, 0.5 * first.mT)))
        half = solve_lower_exact(factor, DoubleDouble.of(identity_like(first)))
        return half.mT @ half
    if kind == "scale":
        first = first.unsqueeze(-1).expand(*first.shape, dimension)
    square = (first, torch.zeros_like(first)) if kind == "variance" else two_product(first, first)
    return DoubleDouble(torch.diag_embed(square[0]), torch.diag_embed(square[1]))

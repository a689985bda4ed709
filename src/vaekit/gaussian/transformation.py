r"""Other Gaussians from one: marginals, conditionals, affine images, the moments of samples, torch's
distributions.

With blocks `a` (kept) and `b` (observed),
$$ x_a \mid x_b = v \;\sim\; \mathcal N\left(m_a + S_{ab} S_{bb}^{-1} (v - m_b),\;
   S_{aa} - S_{ab} S_{bb}^{-1} S_{ba}\right). $$
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
)

from vaekit.gaussian import moments
from vaekit.gaussian.exceptions import GaussianError, GaussianTypeError
from vaekit.gaussian.parameters import (
    ArrayLike,
    as_tensors,
    check_finite,
    check_nonnegative,
    check_one_kind,
    check_shape,
    is_concrete,
)
from vaekit.gaussian.stable import solve_lower
from vaekit.gaussian.state import GaussianState

__all__ = [
    "affine",
    "condition",
    "in_common_units",
    "marginal",
    "parameters_of",
    "positions",
    "sample_moments",
    "torch_distribution",
]


def marginal(gaussian: GaussianState, indices: Sequence[int] | int) -> Any:
    """Return what `Gaussian.marginal` says."""
    kept = positions(indices, gaussian.dimension)
    p, name = gaussian.parameters, gaussian.parameterisation
    new = {"mean": p["mean"][..., kept]}
    if name in ("variance", "standard_deviation"):
        new[name] = p[name][..., kept]
    elif name == "scale":
        new[name] = p[name]
    elif name == "factor":
        new |= {"factor": p["factor"][..., kept, :], "diagonal": p["diagonal"][..., kept]}
    elif name == "covariance":
        new[name] = p[name][..., kept, :][..., kept]
    else:
        covariance = moments.covariance(gaussian.promoted()).to(gaussian.dtype)
        new["covariance"] = covariance[..., kept, :][..., kept]
    return gaussian.from_tensors(new, from_numpy=gaussian.from_numpy, validated=gaussian.validated)


def condition(gaussian: GaussianState, indices: Sequence[int] | int, values: ArrayLike) -> Any:
    """Return what `Gaussian.condition` says."""
    observed = positions(indices, gaussian.dimension)
    kept = [i for i in range(gaussian.dimension) if i not in set(observed)]
    if not kept:
        raise GaussianError("every coordinate is observed; expected at least one to be left")
    value, numpy_in = as_tensors({"values": values}, like=(gaussian.dtype, gaussian.device))
    check_one_kind({"mean": gaussian.parameters["mean"], **value})
    v = value["values"]
    v = v.unsqueeze(-1) if isinstance(indices, int) and v.shape[-1:] != (1,) else v
    check_shape(
        v.shape[-1:] == (len(observed),),
        f"values have shape {tuple(v.shape)}; expected (..., {len(observed)}), one for each of the indices "
        f"{observed}",
    )
    to_numpy = gaussian.from_numpy and numpy_in
    p, name = gaussian.parameters, gaussian.parameterisation
    if gaussian.structure in ("diagonal", "isotropic"):
        scale = {name: p[name][..., kept] if gaussian.structure == "diagonal" else p[name]}
        mean = p["mean"][..., kept].expand(
            *torch.broadcast_shapes(p["mean"].shape[:-1], v.shape[:-1]), len(kept)
        )
        return gaussian.from_tensors(
            {"mean": mean, **scale}, from_numpy=to_numpy, validated=gaussian.validated
        )
    g = gaussian.promoted()
    difference = (v.double() - g.parameters["mean"][..., observed]).unsqueeze(-1)
    if name == "precision":
        P = 0.5 * (g.parameters[name] + g.parameters[name].mT)
        inner, cross = P[..., kept, :][..., kept], P[..., kept, :][..., observed]
        shift = torch.linalg.solve(inner, cross @ difference).squeeze(-1)
        new = {"mean": g.parameters["mean"][..., kept] - shift, "precision": inner}
    else:
        # One triangular factor in the order (observed, kept) holds everything: S = [Lb 0; C La] [..]^T gives
        # the shift C Lb^-1 (v - mb) and the covariance La La^T, never a difference.
        ordered = marginal(g, observed + kept)
        L = moments.scale_tril(ordered)
        n = len(observed)
        singular = (L[..., :n, :n].diagonal(dim1=-2, dim2=-1) == 0).any()
        if not torch.compiler.is_compiling() and bool(singular):
            raise GaussianError(
                f"the coordinates {observed} are degenerate (their covariance is singular), so conditioning "
                "on values of them is not defined; try leaving out those that the others determine"
            )
        shift = (L[..., n:, :n] @ solve_lower(L[..., :n, :n], difference)).squeeze(-1)
        new = {"mean": g.parameters["mean"][..., kept] + shift, "scale_tril": L[..., n:, n:]}
    new = {key: tensor.to(gaussian.dtype) for key, tensor in new.items()}
    return gaussian.from_tensors(new, from_numpy=to_numpy, validated=gaussian.validated)


def affine(gaussian: GaussianState, matrix: ArrayLike, offset: ArrayLike | None = None) -> Any:
    """Return what `Gaussian.affine` says."""
    given = {"matrix": matrix} | ({} if offset is None else {"offset": offset})
    tensors, numpy_in = as_tensors(given, like=(gaussian.dtype, gaussian.device))
    check_one_kind({"mean": gaussian.parameters["mean"], **tensors})
    A = tensors["matrix"]
    check_shape(
        A.dim() >= 2 and A.shape[-1] == gaussian.dimension,
        f"matrix has shape {tuple(A.shape)}; expected (..., n, {gaussian.dimension})",
    )
    b = tensors.get("offset", torch.zeros((), dtype=A.dtype, device=A.device))
    check_shape(
        b.dim() == 0 or b.shape[-1] == A.shape[-2],
        f"offset has shape {tuple(b.shape)} but matrix {tuple(A.shape)}; expected (..., {A.shape[-2]})",
    )
    g, A64 = gaussian.promoted(), A.double()
    mean = (A64 @ g.parameters["mean"].unsqueeze(-1)).squeeze(-1) + b.double()
    if gaussian.structure == "low_rank":
        p = g.parameters
        root = torch.cat([A64 @ p["factor"], A64 * p["diagonal"].sqrt().unsqueeze(-2)], -1)
    elif gaussian.structure == "full":
        root = A64 @ moments.scale_tril(g)
    else:
        root = A64 * moments.deviation(g).unsqueeze(-2)
    covariance = root @ root.mT
    new = {
        "mean": mean.to(gaussian.dtype),
        "covariance": (0.5 * (covariance + covariance.mT)).to(gaussian.dtype),
    }
    return gaussian.from_tensors(
        new, from_numpy=gaussian.from_numpy and numpy_in, validated=gaussian.validated
    )


def in_common_units(
    p: GaussianState, q: GaussianState, *, uniform: bool = False
) -> tuple[Any, Any, Tensor | None]:
    """Return a pair in coordinates in which squares stay in the range of numbers, and the factors to these.

    The factors are powers of two, (..., k), or (...) if they are to be ``uniform``, so that nothing is
    rounded; they are None where the pair is returned as it is. If it is not, the mean of q becomes 0.
    """
    if not is_concrete(*p.parameters.values(), *q.parameters.values()) or (
        p.has_plain_scale() and q.has_plain_scale()
    ):
        return p, q, None
    with torch.no_grad():
        exponents = [torch.frexp(g.rough_deviation()) for g in (p, q)]
        # A deviation of 0 says nothing about the unit.
        known = [(size != 0).int() for size, _ in exponents]
        total = sum(exponent * mask for (_, exponent), mask in zip(exponents, known, strict=True))
        exponent = torch.div(total, (known[0] + known[1]).clamp_min(1), rounding_mode="floor").clamp(
            -1000, 1000
        )
        if uniform:
            exponent = exponent.amax(-1, keepdim=True).expand(exponent.shape)
        power = torch.ldexp(torch.ones(exponent.shape, dtype=p.dtype, device=p.device), -exponent)
    shift = 2 * ((0.5 * p.parameters["mean"] - 0.5 * q.parameters["mean"]) * power)
    moved = p.rescaled(power, shift), q.rescaled(power, torch.zeros_like(q.parameters["mean"]))
    return *moved, power[..., 0] if uniform else power


def positions(indices: Sequence[int] | int, dimension: int) -> list[int]:
    """Return distinct positions from 0, from indices that may count from the end."""
    given = [indices] if isinstance(indices, int) else [int(i) for i in indices]
    if not given:
        raise GaussianError("no index was given; expected at least one coordinate")
    if any(not -dimension <= i < dimension for i in given):
        raise GaussianError(f"indices {given} do not all lie in a vector of size {dimension}")
    found = [i % dimension for i in given]
    if len(set(found)) != len(found):
        raise GaussianError(f"indices {given} repeat a coordinate; expected each at most once")
    return found


def parameters_of(distribution: Distribution) -> dict[str, Tensor]:
    """Return the parameters of a torch distribution, in the parameterisation it was made from."""
    if isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal):
        base = distribution.base_dist
        if distribution.reinterpreted_batch_ndims != 1:
            raise GaussianTypeError(
                f"Independent reinterprets {distribution.reinterpreted_batch_ndims} dimensions; expected 1; "
                "flatten the event to a vector first"
            )
        return {"mean": base.loc, "standard_deviation": base.scale}
    own = vars(distribution)  # what was given, not broadcast to the batch
    if isinstance(distribution, MultivariateNormal):
        for theirs, ours in (
            ("covariance_matrix", "covariance"),
            ("precision_matrix", "precision"),
            ("scale_tril", "scale_tril"),
        ):
            if theirs in own:
                return {"mean": distribution.loc, ours: own[theirs]}
        return {"mean": distribution.loc, "scale_tril": own["_unbroadcasted_scale_tril"]}
    if isinstance(distribution, LowRankMultivariateNormal):
        return {
            "mean": distribution.loc,
            "factor": own["_unbroadcasted_cov_factor"],
            "diagonal": own["_unbroadcasted_cov_diag"],
        }
    hint = "; try Independent(Normal(mean, scale), 1)" if isinstance(distribution, Normal) else ""
    raise GaussianTypeError(
        f"{type(distribution).__name__} is not a multivariate Gaussian; expected Independent(Normal, 1), "
        f"MultivariateNormal or LowRankMultivariateNormal{hint}"
    )


def torch_distribution(gaussian: GaussianState) -> Distribution:
    """Return the torch distribution with the same structure.

    Singular Gaussians have none and torch says so.
    """
    p = gaussian.parameters
    mean = p["mean"].expand(gaussian.batch_shape + gaussian.event_shape)
    if gaussian.structure in ("diagonal", "isotropic"):
        deviation = moments.deviation(gaussian).expand(mean.shape)
        return Independent(Normal(mean, deviation), 1)
    if gaussian.structure == "low_rank":
        return LowRankMultivariateNormal(mean, p["factor"], p["diagonal"])
    if gaussian.parameterisation == "scale_tril":
        return MultivariateNormal(mean, scale_tril=p["scale_tril"])
    if gaussian.parameterisation == "precision":
        return MultivariateNormal(mean, precision_matrix=p["precision"])
    return MultivariateNormal(mean, covariance_matrix=p["covariance"])


def sample_moments(X: Tensor, weights: Tensor | None, correction: int) -> tuple[Tensor, Tensor]:
    """Return the mean (..., k) and covariance (..., k, k) of samples (..., n, k), computed in float64, in the
    dtype of the samples."""
    check_shape(X.dim() >= 2, f"X has shape {tuple(X.shape)}; expected samples by coordinates (..., n, k)")
    check_finite(X, "X", 2)
    n = X.shape[-2]
    if weights is None:
        weights = torch.ones(X.shape[:-1], dtype=X.dtype, device=X.device)
    else:
        check_shape(
            weights.shape[-1:] == X.shape[-2:-1],
            f"weights have shape {tuple(weights.shape)} but X has {n} samples; expected one weight per "
            f"sample, (..., {n})",
        )
        check_nonnegative(weights, "weights", 1)
    w = weights.double()
    total = w.sum(-1)
    divisor = total - correction * w.square().sum(-1) / total
    if bool((~(divisor > 0)).any()):
        raise GaussianError(
            f"a covariance with correction {correction} needs more than {correction} samples of positive "
            f"weight; X has {n}; "
            "try correction=0 for the maximum-likelihood covariance"
        )
    x = X.double()
    mean = (w.unsqueeze(-1) * x).sum(-2) / total.unsqueeze(-1)
    centred = x - mean.unsqueeze(-2)
    # The weighted mean of the centred samples is rounding error: take it away from both.
    shift = (w.unsqueeze(-1) * centred).sum(-2) / total.unsqueeze(-1)
    centred = centred - shift.unsqueeze(-2)
    covariance = (w.unsqueeze(-1) * centred).mT @ centred / divisor[..., None, None]
    covariance = 0.5 * (covariance + covariance.mT)
    return (mean + shift).to(X.dtype), covariance.to(X.dtype)

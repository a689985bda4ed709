"""To and from the objects of others: torch distributions and (mean, covariance) tuples."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
)

from vaekit.gaussian.errors import GaussianTypeError

if TYPE_CHECKING:
    from vaekit.gaussian.distribution import Gaussian

__all__ = ["as_gaussian", "parameters_of", "torch_distribution"]


def as_gaussian(value: Any, name: str, *, validate: bool = True) -> "Gaussian":
    """A Gaussian from a Gaussian, a torch distribution, or a tuple of mean and covariance.

    A covariance of the size of the mean, (..., k), with fewer dimensions than a matrix would have is refused:
    variances are
    given as ``Gaussian(mean, variance=...)``.
    """
    from vaekit.gaussian.distribution import Gaussian

    if isinstance(value, Gaussian):
        return value
    if isinstance(value, Distribution):
        return Gaussian.from_torch(value, validate=validate)
    if isinstance(value, tuple) and len(value) == 2:
        mean, covariance = value
        if not validate and isinstance(mean, Tensor) and isinstance(covariance, Tensor):
            return Gaussian._from_tensors({"mean": mean, "covariance": covariance}, validated=False)
        return Gaussian(value[0], covariance=value[1], validate=validate)
    raise GaussianTypeError(
        f"{name} is {type(value).__name__}; expected a vaekit.gaussian.Gaussian, a torch distribution "
        "(Independent(Normal, 1), "
        "MultivariateNormal or LowRankMultivariateNormal) or a tuple (mean, covariance)"
    )


def parameters_of(distribution: Distribution) -> dict[str, Tensor]:
    """The parameters of a torch distribution, in the parameterisation it was made from."""
    if isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal):
        base = distribution.base_dist
        if distribution.reinterpreted_batch_ndims != 1:
            raise GaussianTypeError(
                f"Independent reinterprets {distribution.reinterpreted_batch_ndims} dimensions; expected 1; "
                "flatten the event to a vector first"
            )
        return {"mean": base.loc, "standard_deviation": base.scale}
    if isinstance(distribution, MultivariateNormal):
        own = distribution.__dict__
        for theirs, ours in (
            ("covariance_matrix", "covariance"),
            ("precision_matrix", "precision"),
            ("scale_tril", "scale_tril"),
        ):
            if theirs in own:
                return {"mean": distribution.loc, ours: own[theirs]}
        return {"mean": distribution.loc, "scale_tril": distribution._unbroadcasted_scale_tril}
    if isinstance(distribution, LowRankMultivariateNormal):
        return {
            "mean": distribution.loc,
            "factor": distribution._unbroadcasted_cov_factor,
            "diagonal": distribution._unbroadcasted_cov_diag,
        }
    hint = "; try Independent(Normal(mean, scale), 1)" if isinstance(distribution, Normal) else ""
    raise GaussianTypeError(
        f"{type(distribution).__name__} is not a multivariate Gaussian; expected Independent(Normal, 1), "
        f"MultivariateNormal or LowRankMultivariateNormal{hint}"
    )


def torch_distribution(gaussian: "Gaussian") -> Distribution:
    """The torch distribution with the same structure; singular Gaussians have none and torch says so."""
    p = gaussian.parameters
    mean = p["mean"].expand(gaussian.batch_shape + gaussian.event_shape)
    if gaussian.structure in ("diagonal", "isotropic"):
        deviation = torch.as_tensor(gaussian.standard_deviation)
        return Independent(Normal(mean, deviation), 1)
    if gaussian.structure == "low_rank":
        return LowRankMultivariateNormal(mean, p["factor"], p["diagonal"])
    if gaussian.parameterisation == "scale_tril":
        return MultivariateNormal(mean, scale_tril=p["scale_tril"])
    if gaussian.parameterisation == "precision":
        return MultivariateNormal(mean, precision_matrix=p["precision"])
    return MultivariateNormal(mean, covariance_matrix=p["covariance"])


def same_kind(p: "Gaussian", q: "Gaussian") -> None:
    """Refuse a pair of different dtypes, devices or dimensions."""
    from vaekit.gaussian.validation import check_one_kind, check_shape

    check_one_kind({"p": p.parameters["mean"], "q": q.parameters["mean"]})
    check_shape(
        p.dimension == q.dimension,
        f"p is over vectors of size {p.dimension} but q over size {q.dimension}; expected the same size",
    )

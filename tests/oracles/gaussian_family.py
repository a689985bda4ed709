"""The members of the family of divergences between Gaussians, and pairs to try them on."""

import math

import numpy as np

from vaekit.gaussian import (
    Gaussian,
    alpha_divergence,
    bhattacharyya,
    chi_squared,
    fisher_rao_bounds,
    hellinger,
    jeffreys,
    jensen_shannon,
    renyi,
    total_variation_bounds,
    wasserstein,
)

DIVERGENCES = {
    "jeffreys": jeffreys,
    "renyi 0.3": lambda p, q: renyi(p, q, 0.3),
    "renyi 1": lambda p, q: renyi(p, q, 1.0),
    "renyi 1.5": lambda p, q: renyi(p, q, 1.5),
    "alpha -0.5": lambda p, q: alpha_divergence(p, q, -0.5),
    "alpha 0.3": lambda p, q: alpha_divergence(p, q, 0.3),
    "alpha 2": lambda p, q: alpha_divergence(p, q, 2.0),
    "chi_squared": chi_squared,
    "bhattacharyya": bhattacharyya,
    "hellinger": hellinger,
    "hellinger squared": lambda p, q: hellinger(p, q, squared=True),
    "geometric": lambda p, q: jensen_shannon(p, q, weight=0.3),
    "dual geometric": lambda p, q: jensen_shannon(p, q, method="dual-geometric"),
}
#: Not divergences of densities: no common affine map leaves them alone.
DISTANCES = {"wasserstein": wasserstein, "wasserstein squared": lambda p, q: wasserstein(p, q, squared=True)}
BOUNDS = {
    "fisher_rao lower": lambda p, q: fisher_rao_bounds(p, q).lower,
    "fisher_rao upper": lambda p, q: fisher_rao_bounds(p, q).upper,
    "total variation lower": lambda p, q: total_variation_bounds(p, q).lower,
    "total variation upper": lambda p, q: total_variation_bounds(p, q).upper,
}
EVERYTHING = DIVERGENCES | DISTANCES | BOUNDS
GRADIENTS = DIVERGENCES | DISTANCES
SYMMETRIC = ("jeffreys", "bhattacharyya", "hellinger", "wasserstein", *BOUNDS)


def covariance(rng, *shape, spread=0.3):
    k = shape[-1]
    A = np.eye(k) + spread * rng.normal(size=(*shape[:-1], k, k)) / math.sqrt(k)
    return A @ np.swapaxes(A, -1, -2)


def random_pair(seed, *shape, spread=0.3):
    rng = np.random.default_rng(seed)
    return (
        Gaussian(spread * rng.normal(size=shape), covariance=covariance(rng, *shape, spread=spread)),
        Gaussian(spread * rng.normal(size=shape), covariance=covariance(rng, *shape, spread=spread)),
    )


PARAMETERISATIONS = {
    "covariance": lambda S: {"covariance": S},
    "scale_tril": lambda S: {"scale_tril": np.linalg.cholesky(S)},
    "precision": lambda S: {"precision": (lambda P: (P + P.swapaxes(-1, -2)) / 2)(np.linalg.inv(S))},
    "variance": lambda S: {"variance": np.diagonal(S, axis1=-2, axis2=-1).copy()},
    "standard_deviation": lambda S: {"standard_deviation": np.sqrt(np.diagonal(S, axis1=-2, axis2=-1))},
    "scale": lambda S: {"scale": np.sqrt(S[..., 0, 0])},
    "factor": lambda S: {"factor": S[..., :2], "diagonal": np.diagonal(S, axis1=-2, axis2=-1).copy()},
}

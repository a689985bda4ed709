"""Gaussians and the divergences between them, in nats. Stands alone: torch and NumPy, nothing of vaekit."""

from vaekit.gaussian.diagonal import normal_kl
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.exceptions import (
    AsymmetricCovarianceError,
    GaussianError,
    NotPositiveDefiniteError,
    SingularCovarianceError,
)
from vaekit.gaussian.explanation import Explanation, explain
from vaekit.gaussian.information import cross_entropy, entropy, mutual_information
from vaekit.gaussian.information_geometry import Bounds, fisher_rao, fisher_rao_bounds
from vaekit.gaussian.kl import kl_divergence
from vaekit.gaussian.many import use_lanes
from vaekit.gaussian.mixture import GaussianMixture, mixture_kl
from vaekit.gaussian.pairs import pairwise
from vaekit.gaussian.relative import RelativeSpectrum, relative_spectrum
from vaekit.gaussian.renyi_family import alpha_divergence, bhattacharyya, chi_squared, hellinger, renyi
from vaekit.gaussian.symmetric import Estimate, jeffreys, jensen_shannon
from vaekit.gaussian.torch_registry import register_with_torch
from vaekit.gaussian.transport import AffineMap, optimal_map, wasserstein
from vaekit.gaussian.variation import total_variation_bounds

__all__ = [
    "AffineMap",
    "AsymmetricCovarianceError",
    "Bounds",
    "Estimate",
    "Explanation",
    "Gaussian",
    "GaussianError",
    "GaussianMixture",
    "NotPositiveDefiniteError",
    "RelativeSpectrum",
    "SingularCovarianceError",
    "alpha_divergence",
    "bhattacharyya",
    "chi_squared",
    "cross_entropy",
    "entropy",
    "explain",
    "fisher_rao",
    "fisher_rao_bounds",
    "hellinger",
    "jeffreys",
    "jensen_shannon",
    "kl_divergence",
    "mixture_kl",
    "mutual_information",
    "normal_kl",
    "optimal_map",
    "pairwise",
    "register_with_torch",
    "relative_spectrum",
    "renyi",
    "total_variation_bounds",
    "use_lanes",
    "wasserstein",
]

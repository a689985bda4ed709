"""All divergences and distances between Gaussians beside the Kullback-Leibler divergence, under one roof."""

from vaekit.gaussian.estimate import Estimate
from vaekit.gaussian.explanation import Explanation, explain
from vaekit.gaussian.information import cross_entropy, entropy, mutual_information
from vaekit.gaussian.information_geometry import Bounds, fisher_rao, fisher_rao_bounds
from vaekit.gaussian.jensen import jensen_shannon
from vaekit.gaussian.mixture import GaussianMixture
from vaekit.gaussian.mixture_divergence import mixture_kl
from vaekit.gaussian.pairs import pairwise
from vaekit.gaussian.relative import RelativeSpectrum, relative_spectrum
from vaekit.gaussian.renyi_family import alpha_divergence, bhattacharyya, chi_squared, hellinger, renyi
from vaekit.gaussian.symmetric import jeffreys
from vaekit.gaussian.transport import AffineMap, optimal_map, wasserstein
from vaekit.gaussian.variation import total_variation_bounds

__all__ = [
    "AffineMap",
    "Bounds",
    "Estimate",
    "Explanation",
    "GaussianMixture",
    "RelativeSpectrum",
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
    "mixture_kl",
    "mutual_information",
    "optimal_map",
    "pairwise",
    "relative_spectrum",
    "renyi",
    "total_variation_bounds",
    "wasserstein",
]

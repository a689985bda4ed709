r"""Posteriors: features of :math:`x \to q(z \mid x)`.

A posterior is a module with ``latent_shape`` (the shape of :math:`z`), ``feature_shape`` (the shape of the
encoder's output for one example) and a call ``posterior(features) -> Distribution``. What it needs besides
features, the space its latents live in and whether its distribution has a density are in its ``traits``; see
:class:`vaekit.contracts.Posterior`.
"""

from vaekit.posteriors.categorical_posterior import CategoricalPosterior
from vaekit.posteriors.chain_posterior import ChainPosterior
from vaekit.posteriors.curved_posteriors import VonMisesFisherPosterior, WrappedNormalPosterior
from vaekit.posteriors.flow_posteriors import (
    InverseAutoregressivePosterior,
    MaskedAutoregressivePosterior,
    PlanarPosterior,
    SplinePosterior,
)
from vaekit.posteriors.gaussian_posteriors import DiagonalPosterior, FullPosterior, LowRankPosterior
from vaekit.posteriors.hamiltonian import HamiltonianDistribution, HamiltonianPosterior
from vaekit.posteriors.point import PointMass, PointPosterior
from vaekit.posteriors.quantized import QuantizedPosterior, ResidualQuantizedPosterior

__all__ = [
    "CategoricalPosterior",
    "ChainPosterior",
    "DiagonalPosterior",
    "FullPosterior",
    "HamiltonianDistribution",
    "HamiltonianPosterior",
    "InverseAutoregressivePosterior",
    "LowRankPosterior",
    "MaskedAutoregressivePosterior",
    "PlanarPosterior",
    "PointMass",
    "PointPosterior",
    "QuantizedPosterior",
    "ResidualQuantizedPosterior",
    "SplinePosterior",
    "VonMisesFisherPosterior",
    "WrappedNormalPosterior",
]

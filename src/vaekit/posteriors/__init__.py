r"""Posteriors: features of :math:`x \to q(z \mid x)`.

A posterior is a module with ``latent_shape`` (the shape of :math:`z`), ``feature_shape`` (what it wants from
the encoder) and a call ``posterior(features) -> Distribution``. One that needs more than features lists what
in ``needs``, and is given it as keyword arguments when it is called (see :class:`vaekit.VAE`). One whose latents do
not live in :math:`\mathbb R^k` says where in ``space`` (see :mod:`vaekit.sentence`), and one whose distribution has no
density sets ``has_density = False``, on itself and on the distribution.
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

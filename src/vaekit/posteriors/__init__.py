r"""Posteriors: features of :math:`x \to q(z \mid x)`.

A posterior is a module with ``latent_shape`` (the shape of :math:`z`), ``feature_shape`` (what it wants from
the encoder) and a call ``posterior(features) -> Distribution``. One that needs more than features lists what
in ``needs``, and is given it as keyword arguments when it is called (see :class:`vaekit.VAE`). One whose latents do
not live in :math:`\mathbb R^k` says where in ``space`` (see :mod:`vaekit.sentence`), and one whose distribution has no
density sets ``has_density = False``, on itself and on the distribution.
"""

from vaekit.posteriors.categorical import CategoricalPosterior
from vaekit.posteriors.chain import ChainPosterior
from vaekit.posteriors.diagonal import DiagonalPosterior
from vaekit.posteriors.full import FullPosterior
from vaekit.posteriors.hamiltonian import HamiltonianPosterior
from vaekit.posteriors.iaf import InverseAutoregressivePosterior
from vaekit.posteriors.low_rank import LowRankPosterior
from vaekit.posteriors.maf import MaskedAutoregressivePosterior
from vaekit.posteriors.planar import PlanarPosterior
from vaekit.posteriors.point import PointMass, PointPosterior
from vaekit.posteriors.quantized import QuantizedPosterior, ResidualQuantizedPosterior
from vaekit.posteriors.spline import SplinePosterior
from vaekit.posteriors.von_mises_fisher import VonMisesFisherPosterior
from vaekit.posteriors.wrapped_normal import WrappedNormalPosterior

__all__ = [
    "CategoricalPosterior",
    "ChainPosterior",
    "DiagonalPosterior",
    "FullPosterior",
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

r"""Priors: nothing (or a condition) :math:`\to p(z)`.

A prior is a module whose call returns a distribution over ``latent_shape``. One that needs the rest of the
model (a VampPrior needs ``encode``) lists what it needs in its ``traits``, and is given it as a keyword
argument at every call. It stores no reference, so that deepcopy, save and distribution over processes keep
model and prior together; see :class:`vaekit.contracts.Prior`.
"""

from vaekit.priors.chain_prior import ChainPrior
from vaekit.priors.code_priors import AutoregressivePrior, CategoricalPrior
from vaekit.priors.curved_priors import UniformSpherePrior, WrappedNormalPrior
from vaekit.priors.flow_prior import FlowPrior
from vaekit.priors.gaussian_priors import GaussianPrior, StandardPrior
from vaekit.priors.mixture_priors import GaussianMixturePrior, MixturePrior
from vaekit.priors.two_stage import TwoStageDistribution, TwoStagePrior, rotated_noise
from vaekit.priors.vamp import VampPrior

__all__ = [
    "AutoregressivePrior",
    "CategoricalPrior",
    "ChainPrior",
    "FlowPrior",
    "GaussianMixturePrior",
    "GaussianPrior",
    "MixturePrior",
    "StandardPrior",
    "TwoStageDistribution",
    "TwoStagePrior",
    "UniformSpherePrior",
    "VampPrior",
    "WrappedNormalPrior",
    "rotated_noise",
]

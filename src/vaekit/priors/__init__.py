r"""Priors: nothing (or a condition) :math:`\to p(z)`.

A prior is a module whose call returns a distribution over ``latent_shape``. One that needs the rest of the
model (VampPrior needs ``encode``) lists what in ``needs`` and is given it as a keyword argument when it is
called: nothing is stored, so deepcopy, save and distribution over processes keep the tie.
"""

from vaekit.priors.autoregressive import AutoregressivePrior
from vaekit.priors.categorical import CategoricalPrior
from vaekit.priors.chain import ChainPrior
from vaekit.priors.flow import FlowPrior
from vaekit.priors.gaussian import GaussianPrior
from vaekit.priors.gmm import GaussianMixturePrior
from vaekit.priors.mixture import MixturePrior
from vaekit.priors.standard import StandardPrior
from vaekit.priors.two_stage import TwoStagePrior
from vaekit.priors.uniform_sphere import UniformSpherePrior
from vaekit.priors.vamp import VampPrior
from vaekit.priors.wrapped_normal import WrappedNormalPrior

__all__ = [
    "AutoregressivePrior",
    "CategoricalPrior",
    "ChainPrior",
    "FlowPrior",
    "GaussianMixturePrior",
    "GaussianPrior",
    "MixturePrior",
    "StandardPrior",
    "TwoStagePrior",
    "UniformSpherePrior",
    "VampPrior",
    "WrappedNormalPrior",
]

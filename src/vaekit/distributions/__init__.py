r"""Distributions of our own that posteriors, priors and divergences share.

Each has the interface of ``torch.distributions``: ``rsample``, ``sample``, ``log_prob``, ``mean``, ``batch_shape``
and ``event_shape``. One that holds a module offers ``detached()``: the same distribution with parameters that no
gradient flows into. The latents of a *code space* are points of a finite set: :mod:`vaekit.distributions.codebook` says
which, and the distributions over codes put masses on them.
"""

from vaekit.contracts import CodeSpace
from vaekit.distributions.autoregressive_codes import AutoregressiveCodes
from vaekit.distributions.categorical_codes import CategoricalCodes
from vaekit.distributions.chain import ChainDistribution, GaussianLayer
from vaekit.distributions.codebook import Codebook, OneHotCodes
from vaekit.distributions.divergences import categorical_kl
from vaekit.distributions.flow import FlowDistribution
from vaekit.distributions.flow_steps import (
    FlowSteps,
    LocatedFlow,
    gated_steps,
    masked_affine_steps,
    spline_steps,
)
from vaekit.distributions.hamiltonian import HamiltonianDistribution
from vaekit.distributions.planar import PlanarFlow
from vaekit.distributions.point_codes import PointCodes
from vaekit.distributions.two_stage import TwoStageDistribution, rotated_noise
from vaekit.distributions.uniform_sphere import UniformSphere
from vaekit.distributions.von_mises_fisher import VonMisesFisher
from vaekit.distributions.wrapped_normal import WrappedNormal

__all__ = [
    "AutoregressiveCodes",
    "CategoricalCodes",
    "ChainDistribution",
    "CodeSpace",
    "Codebook",
    "FlowDistribution",
    "FlowSteps",
    "GaussianLayer",
    "HamiltonianDistribution",
    "LocatedFlow",
    "OneHotCodes",
    "PlanarFlow",
    "PointCodes",
    "TwoStageDistribution",
    "UniformSphere",
    "VonMisesFisher",
    "WrappedNormal",
    "categorical_kl",
    "gated_steps",
    "masked_affine_steps",
    "rotated_noise",
    "spline_steps",
]

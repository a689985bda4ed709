r"""Distributions of our own that posteriors, priors and divergences share.

Each has the interface of ``torch.distributions``: ``rsample``, ``sample``, ``log_prob``, ``mean``,
``batch_shape`` and ``event_shape``. One that holds a module offers ``detached()``: the same distribution with
parameters that no gradient flows into. The latents of a *code space* are points of a finite set (see
:mod:`vaekit.distributions.codebook`), and the distributions over codes put probability masses on them. A
distribution that serves a single part lives in that part's own file.
"""

from vaekit.contracts import CodeSpace
from vaekit.distributions.code_masses import AutoregressiveCodes, CategoricalCodes, categorical_kl
from vaekit.distributions.codebook import Codebook, OneHotCodes, PointCodes
from vaekit.distributions.flow_distribution import FlowDistribution
from vaekit.distributions.flow_steps import (
    FlowSteps,
    LocatedFlow,
    gated_steps,
    masked_affine_steps,
    spline_steps,
)
from vaekit.distributions.hyperbolic import WrappedNormal
from vaekit.distributions.layer_chain import ChainDistribution, GaussianLayer
from vaekit.distributions.planar_steps import PlanarFlow
from vaekit.distributions.sphere_distributions import UniformSphere, VonMisesFisher

__all__ = [
    "AutoregressiveCodes",
    "CategoricalCodes",
    "ChainDistribution",
    "CodeSpace",
    "Codebook",
    "FlowDistribution",
    "FlowSteps",
    "GaussianLayer",
    "LocatedFlow",
    "OneHotCodes",
    "PlanarFlow",
    "PointCodes",
    "UniformSphere",
    "VonMisesFisher",
    "WrappedNormal",
    "categorical_kl",
    "gated_steps",
    "masked_affine_steps",
    "spline_steps",
]

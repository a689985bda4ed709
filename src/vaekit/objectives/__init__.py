"""Objectives: bounds and losses over the three distributions, per example and in nats.

An objective is a callable ``objective(model, x, c=None) -> ObjectiveResult``. It reduces nothing, and keeps
two things apart: the *bound*, which is reported, selected on and compared, and the *surrogate*, which is
differentiated. Both are maximised. Weights and schedules act on the surrogate alone. A penalty on a whole
batch is part of the surrogate of each of its examples, so that the mean over them counts it once. An
objective may have an opponent, such as a discriminator: see :class:`Opposed`.
"""

from vaekit.contracts import Objective, ObjectiveResult
from vaekit.language.schedules import Annealed, Schedule
from vaekit.objectives.building_blocks import prior_fit, subtract_auxiliary_loss
from vaekit.objectives.dip import DisentangledInferredPrior
from vaekit.objectives.divergence import closed_divergence, divergence, register_divergence
from vaekit.objectives.elbo import Elbo
from vaekit.objectives.importance_weighted import (
    CombinationImportanceWeighted,
    ImportanceWeighted,
    MultiplyImportanceWeighted,
    PartiallyImportanceWeighted,
    Renyi,
)
from vaekit.objectives.latent_discriminators import Adversarial, FactorizedPosterior, permute_dimensions
from vaekit.objectives.m2 import SemiSupervised
from vaekit.objectives.mmd import MaximumMeanDiscrepancy, squared_mmd
from vaekit.objectives.opposed import Opposed
from vaekit.objectives.regularized import RegularizedAutoencoder
from vaekit.objectives.total_correlation import TotalCorrelation
from vaekit.objectives.vae_gan import VaeGan

__all__ = [
    "Adversarial",
    "Annealed",
    "CombinationImportanceWeighted",
    "DisentangledInferredPrior",
    "Elbo",
    "FactorizedPosterior",
    "ImportanceWeighted",
    "MaximumMeanDiscrepancy",
    "MultiplyImportanceWeighted",
    "Objective",
    "ObjectiveResult",
    "Opposed",
    "PartiallyImportanceWeighted",
    "RegularizedAutoencoder",
    "Renyi",
    "Schedule",
    "SemiSupervised",
    "TotalCorrelation",
    "VaeGan",
    "closed_divergence",
    "divergence",
    "permute_dimensions",
    "prior_fit",
    "register_divergence",
    "squared_mmd",
    "subtract_auxiliary_loss",
]

r"""Likelihoods: features of :math:`z \to p(x \mid z)`.

A likelihood is a module with ``event_shape`` (the shape of :math:`x`), ``feature_shape`` (what it wants from
the decoder), ``support`` (the data it accepts) and a call ``likelihood(features) -> Distribution``. Its class
says in ``measure`` whether it gives densities or probabilities, and of what; in ``scaling`` the coordinates it
wants its data in (see :mod:`vaekit.likelihoods.conventions`). ``encoder_input``, where it is not None, is a map
without parameters that belongs in front of the encoder. ``marginal_features(x)``, where there is one, says which
features give data's means whatever the latent (see :mod:`vaekit.training.output_bias`).

Densities are normalised, with every constant, and in the units of the data: a likelihood over scaled data is
told the logarithm of the scaling's Jacobian. A pseudo-likelihood (``measure = "none"``) has no density: what its
``log_prob`` gives is for training, and evaluation refuses to report it.
"""

from vaekit.likelihoods.bernoulli import BernoulliLikelihood, ContinuousBernoulliLikelihood
from vaekit.likelihoods.categorical_likelihood import CategoricalLikelihood
from vaekit.likelihoods.conventions import InDataUnits, Measure
from vaekit.likelihoods.discretized_logistic import DiscretizedLogisticLikelihood
from vaekit.likelihoods.location_scale import GaussianLikelihood, LaplaceLikelihood
from vaekit.likelihoods.mixed import COLUMN_KINDS, MixedLikelihood, is_continuous
from vaekit.likelihoods.ms_ssim import MultiScaleSimilarityLikelihood
from vaekit.likelihoods.negative_binomial import (
    NegativeBinomialLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
)
from vaekit.likelihoods.poisson import PoissonLikelihood
from vaekit.likelihoods.student_t import StudentTLikelihood
from vaekit.likelihoods.support import Support

__all__ = [
    "COLUMN_KINDS",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "ContinuousBernoulliLikelihood",
    "DiscretizedLogisticLikelihood",
    "GaussianLikelihood",
    "InDataUnits",
    "LaplaceLikelihood",
    "Measure",
    "MixedLikelihood",
    "MultiScaleSimilarityLikelihood",
    "NegativeBinomialLikelihood",
    "PoissonLikelihood",
    "StudentTLikelihood",
    "Support",
    "ZeroInflatedNegativeBinomialLikelihood",
    "is_continuous",
]

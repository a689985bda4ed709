r"""Likelihoods: features of :math:`z \to p(x \mid z)`.

A likelihood is a module with ``event_shape`` (the shape of :math:`x`), ``feature_shape`` (the shape of the
decoder's output for one example), ``support`` (the data it accepts) and a call ``likelihood(features) ->
Distribution``. Its ``traits`` say whether it gives densities or probabilities, and of what, and in which
coordinates it takes its data (see :mod:`vaekit.likelihoods.conventions`). ``encoder_input``, where it is not
None, is a map without parameters to put before the encoder. ``marginal_features(x)`` returns the features of
the data's means, where they are known (see :mod:`vaekit.training.output_bias`).

Densities are normalised, with every constant, and in the units of the data: a likelihood over scaled data is
given the logarithm of the Jacobian of the scaling. A pseudo-likelihood (``measure="none"``) has no density:
its ``log_prob`` is for training, and evaluation refuses to report it.
"""

from vaekit.contracts import Measure
from vaekit.likelihoods.bernoulli import BernoulliLikelihood, ContinuousBernoulliLikelihood
from vaekit.likelihoods.categorical_likelihood import CategoricalLikelihood
from vaekit.likelihoods.conventions import InDataUnits
from vaekit.likelihoods.discretized_logistic import DiscretizedLogisticLikelihood
from vaekit.likelihoods.location_scale import GaussianLikelihood, LaplaceLikelihood
from vaekit.likelihoods.mixed import COLUMN_KINDS, MixedLikelihood, is_continuous
from vaekit.likelihoods.ms_ssim import MultiScaleSimilarityLikelihood
from vaekit.likelihoods.negative_binomial import (
    NegativeBinomialLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
)
from vaekit.likelihoods.observed_cells import ObservedCells
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
    "ObservedCells",
    "PoissonLikelihood",
    "StudentTLikelihood",
    "Support",
    "ZeroInflatedNegativeBinomialLikelihood",
    "is_continuous",
]

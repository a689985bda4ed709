r"""Likelihoods: features of :math:`z \to p(x \mid z)`.

A likelihood is a module with ``event_shape`` (the shape of :math:`x`), ``feature_shape`` (what it wants from
the decoder), ``support`` (the data it accepts) and a call ``likelihood(features) -> Distribution``. Densities
are normalised, with every constant, and in the units of the data: a likelihood over scaled data is told the
logarithm of the scaling's Jacobian.
"""

from vaekit.likelihoods.bernoulli import BernoulliLikelihood
from vaekit.likelihoods.gaussian import GaussianLikelihood
from vaekit.likelihoods.support import Support
from vaekit.likelihoods.units import InDataUnits

__all__ = ["BernoulliLikelihood", "GaussianLikelihood", "InDataUnits", "Support"]

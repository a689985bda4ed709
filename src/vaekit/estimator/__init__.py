"""The scikit-learn face: one estimator for every sentence of parts.

Its methods stand in layers, each of which sees the ones below: ``parameters`` (what it is told), ``rows`` (the way of
rows to the model), then side by side ``fitting``, ``prior_fitting``, ``fitted_verbs``, ``code_verbs`` and
``label_verbs``; ``estimator`` puts them together.
"""

from vaekit.estimator.estimator import VariationalAutoencoder, load

__all__ = ["VariationalAutoencoder", "load"]

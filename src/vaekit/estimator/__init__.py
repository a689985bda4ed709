"""The scikit-learn face: one estimator for every sentence of parts.

:mod:`vaekit.estimator.estimator` holds the class; its methods call plain functions: ``fitting`` trains,
``inference`` encodes, decodes, generates and scores, ``model_rows`` brings rows to the model, and
``likelihood_choice`` looks at the data for a likelihood. ``model_of_rows`` is a fitted model as a torch module.
"""

from vaekit.estimator.estimator import VariationalAutoencoder, load
from vaekit.estimator.fitting import RunOptions
from vaekit.estimator.model_of_rows import ModelOfRows

__all__ = ["ModelOfRows", "RunOptions", "VariationalAutoencoder", "load"]

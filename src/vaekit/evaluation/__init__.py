r"""Evaluation: bounds, :math:`\log p(x)` with error bars, latent diagnostics, and exact baselines."""

from vaekit.evaluation.annealed_importance import (
    AnnealedLogLikelihood,
    Sandwich,
    annealed_log_likelihood,
    sandwich,
)
from vaekit.evaluation.baselines import Baseline, fit_baselines
from vaekit.evaluation.bound import BoundSummary, Estimate, evaluate_bound
from vaekit.evaluation.codes import CodeUsage, code_usage, warn_of_collapse
from vaekit.evaluation.exact_evidence import exact_log_likelihood
from vaekit.evaluation.held_out import Evaluation, evaluate
from vaekit.evaluation.importance_sampling import log_likelihood
from vaekit.evaluation.judged_weights import LogLikelihood

__all__ = [
    "AnnealedLogLikelihood",
    "Baseline",
    "BoundSummary",
    "CodeUsage",
    "Estimate",
    "Evaluation",
    "LogLikelihood",
    "Sandwich",
    "annealed_log_likelihood",
    "code_usage",
    "evaluate",
    "evaluate_bound",
    "exact_log_likelihood",
    "fit_baselines",
    "log_likelihood",
    "sandwich",
    "warn_of_collapse",
]

r"""Evaluation: bounds, :math:`\log p(x)` with error bars, latent diagnostics, and exact baselines."""

from vaekit.evaluation.baselines import Baseline, fit_baselines
from vaekit.evaluation.bound import BoundSummary, Estimate, evaluate_bound
from vaekit.evaluation.codes import CodeUsage, code_usage, warn_of_collapse
from vaekit.evaluation.held_out import Evaluation, evaluate
from vaekit.evaluation.importance_sampling import LogLikelihood, log_likelihood

__all__ = [
    "Baseline",
    "BoundSummary",
    "CodeUsage",
    "Estimate",
    "Evaluation",
    "LogLikelihood",
    "code_usage",
    "evaluate",
    "evaluate_bound",
    "fit_baselines",
    "log_likelihood",
    "warn_of_collapse",
]

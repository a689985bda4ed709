r"""Objectives: bounds and losses over the three distributions, per example and in nats.

An objective is a callable ``objective(model, x, c=None) -> ObjectiveResult``. It reduces nothing, and keeps
two things apart: the *bound*, which is reported, selected on and compared, and the *surrogate*, which is
differentiated. Both are to be maximised.
"""

from vaekit.objectives.elbo import Elbo
from vaekit.objectives.kl import divergence, register_divergence
from vaekit.objectives.result import Objective, ObjectiveResult

__all__ = ["Elbo", "Objective", "ObjectiveResult", "divergence", "register_divergence"]

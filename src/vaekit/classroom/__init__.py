"""The classroom kit: the Gaussian divergence derived, a checker that names the mistake, losses explained.

Imports no torch: the checker runs a student's file in a process of its own.
"""

from vaekit.classroom.checker import check_file
from vaekit.classroom.derivation import DERIVATION, SPECIAL_CASES, Step, derive, render_derivation
from vaekit.classroom.explain import RECONSTRUCTION_LOSSES, LossExplanation, explain_loss
from vaekit.classroom.report import MISTAKES, CheckReport, Finding, FunctionReport, render
from vaekit.classroom.roles import ROLES

__all__ = [
    "DERIVATION",
    "MISTAKES",
    "RECONSTRUCTION_LOSSES",
    "ROLES",
    "SPECIAL_CASES",
    "CheckReport",
    "Finding",
    "FunctionReport",
    "LossExplanation",
    "Step",
    "check_file",
    "derive",
    "explain_loss",
    "render",
    "render_derivation",
]

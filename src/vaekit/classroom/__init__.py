"""Tools for teaching: the Gaussian divergence derived line by line, a checker of homework, and losses explained.

The package does not import torch: the checker runs a student's file in a process of its own.
"""

from vaekit.classroom.checker import check_file
from vaekit.classroom.derivation import DERIVATION, SPECIAL_CASES, Step, derive, render_derivation
from vaekit.classroom.explain import RECONSTRUCTION_LOSSES, LossExplanation, explain_loss
from vaekit.classroom.findings import MISTAKES, CheckReport, Finding, FunctionReport, render
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

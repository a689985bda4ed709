"""The classroom kit: the Gaussian divergence derived, a checker that names the mistake, losses explained.

Imports no torch: the checker runs a student's file in a process of its own.
"""

from vaekit.classroom.derivation import DERIVATION, SPECIAL_CASES, Step, derive, render_derivation

__all__ = ["DERIVATION", "SPECIAL_CASES", "Step", "derive", "render_derivation"]

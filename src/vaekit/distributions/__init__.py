r"""Distributions of our own that posteriors, priors and divergences share.

Each has the interface of ``torch.distributions``: ``rsample``, ``sample``, ``log_prob``, ``mean``, ``batch_shape``
and ``event_shape``. One that holds a module offers ``detached()``: the same distribution with parameters that no
gradient flows into.
"""

from vaekit.distributions.flow import FlowDistribution
from vaekit.distributions.flow_steps import (
    FlowSteps,
    LocatedFlow,
    gated_steps,
    masked_affine_steps,
    spline_steps,
)

__all__ = [
    "FlowDistribution",
    "FlowSteps",
    "LocatedFlow",
    "gated_steps",
    "masked_affine_steps",
    "spline_steps",
]

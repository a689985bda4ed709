r"""Planar flows: each step pushes along one direction, by an amount that depends on one projection.

.. math:: f(z) = z + \hat u \tanh(w^\top z + b), \qquad
          \log \left| \det \frac{\partial f}{\partial z} \right| = \log(1 + c \operatorname{sech}^2(w^\top z + b)),
          \quad c = w^\top \hat u

Rezende and Mohamed (2015), "Variational Inference with Normalizing Flows", equations 10 to 12. The map is
invertible only for :math:`c > -1`, which their appendix A.1 ensures by

.. math:: \hat u = u + (m(w^\top u) - w^\top u) \frac{w}{\|w\|^2}, \qquad m(a) = -1 + \log(1 + e^{a + \log(e - 1)})

with :math:`m` shifted here, so that :math:`u = 0` is the identity. The inverse has no formula, but only one
unknown: :math:`a = w^\top z` solves the increasing equation :math:`a + c \tanh(a + b) = w^\top f(z)`.
"""

from math import e, log

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vaekit.networks.bounded import soft_bound

__all__ = ["PlanarFlow"]

_SHIFT = log(e - 1)
_LARGEST_PROJECTION = 12.0  # of u on w: c is at least -1 + 1e-5
_HALVINGS = 64


class PlanarFlow(nn.Module):
    """Planar steps, whose parameters are all in the context.

    The context is the tuple of ``w`` and ``u``, both ``(*batch, steps, k)``, and ``b``, ``(*batch, steps)``.

    Examples
    --------
    >>> flow = PlanarFlow()
    >>> context = (torch.randn(5, 4, 3), torch.randn(5, 4, 3), torch.randn(5, 4))
    >>> z, log_det = flow(torch.zeros(5, 3), context)
    >>> torch.allclose(flow(z, context, invert=True)[0], torch.zeros(5, 3), atol=1e-4)
    True
    """

    def forward(
        self, value: Tensor, context: tuple[Tensor, Tensor, Tensor], *, invert: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Map ``(..., k)``; return the image and the log-determinant ``(...,)``."""
        w, u, b = context
        u, c = self.constrain(w, u)
        total: Tensor = value.new_zeros(value.shape[:-1])
        steps = range(w.shape[-2])
        for step in reversed(steps) if invert else steps:
            w_l, u_l, b_l, c_l = w[..., step, :], u[..., step, :], b[..., step], c[..., step]
            projection = (w_l * value).sum(-1)
            if invert:
                projection = _solve(projection, c_l, b_l)
            pushed = (projection + b_l).tanh()
            log_det = (c_l * (1 - pushed.square())).log1p()
            value = value - u_l * pushed[..., None] if invert else value + u_l * pushed[..., None]
            total = total - log_det if invert else total + log_det
        return value, total

    def constrain(self, w: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return :math:`\hat u` and :math:`c = w^\top \hat u > -1`."""
        projection = (w * u).sum(-1)
        c = softplus(soft_bound(projection, _LARGEST_PROJECTION) + _SHIFT) - 1
        square = w.square().sum(-1)
        # Where w is zero the step is a shift, and needs no constraint.
        share = torch.where(square > 0, (c - projection) / torch.where(square > 0, square, 1.0), 0.0)
        return u + share[..., None] * w, torch.where(square > 0, c, 0.0)


def _solve(target: Tensor, c: Tensor, b: Tensor) -> Tensor:
    """Solve a + c tanh(a + b) = target by halving; one step of Newton's method adds the gradient."""
    with torch.no_grad():
        low, high = target - c.abs(), target + c.abs()
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            below = middle + c * (middle + b).tanh() < target
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        a = 0.5 * (low + high)
        slope = 1 + c * (1 - (a + b).tanh().square())
    return a - (a + c * (a + b).tanh() - target) / slope

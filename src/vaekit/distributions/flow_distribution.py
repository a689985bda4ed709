r"""A distribution made from a simple one by an invertible map.

.. math:: z = f(u), \quad u \sim p_u, \qquad
          \log p(z) = \log p_u(u) - \log \left| \det \frac{\partial f(u)}{\partial u} \right|, \quad u = f^{-1}(z)

Rezende and Mohamed (2015), "Variational Inference with Normalizing Flows", equation 5. A draw remembers the
:math:`u` it was made from, so its own density costs nothing more; at any other point :math:`f` is inverted.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.distributions.base import VectorDistribution, detach_distribution, detach_tensors, stopped_call
from vaekit.distributions.normals import settle_overflow

__all__ = ["FlowDistribution"]


class FlowDistribution(VectorDistribution):
    r"""The distribution of :math:`f(u)`, for posteriors and priors alike.

    ``log_prob`` of the tensor that the last ``rsample`` or ``sample`` returned is remembered from the draw.
    It is exact, and its gradient goes through the draw and the density together; to differentiate the density
    with respect to :math:`z` alone, pass ``z.detach().requires_grad_()``. At any other point, and where the
    draw recorded no gradient, the map is inverted. That is as exact; where the inverse is sequential it takes
    as many passes as there are dimensions.

    Parameters
    ----------
    base
        :math:`p_u`, with ``mean``, of any batch shape and event shape ``(k,)``.
    flow
        A module ``flow(value, context, invert=False) -> (image, log_det)``: :math:`f` and its log-determinant
        ``(...,)``, or, with ``invert``, :math:`f^{-1}` and the log-determinant of :math:`f^{-1}`.
    context
        Passed to the flow: a tensor ``(*batch, h)``, a tuple of tensors, or None.

    Examples
    --------
    >>> from torch.distributions import Independent, Normal
    >>> class Shift(nn.Module):
    ...     def forward(self, value, context, invert=False):
    ...         return (value - context if invert else value + context), value.new_zeros(value.shape[:-1])
    >>> base = Independent(Normal(torch.zeros(3, 2), 1.0), 1)
    >>> q = FlowDistribution(base, Shift(), torch.ones(3, 2))
    >>> q.mean[0], q.log_prob(torch.ones(2))[0]
    (tensor([1., 1.]), tensor(-1.8379))
    """

    def __init__(self, base: Distribution, flow: nn.Module, context: Any = None) -> None:
        self.base = base
        self.flow = flow
        self.context = context
        self._map: Callable[..., tuple[Tensor, Tensor]] = flow
        # z and its version, log p(z), whether a graph was recorded
        self._drawn: tuple[Tensor, int, Tensor, bool] | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The image of the mean of the base. It is not the expectation, which has no closed form."""
        return self._apply(self.base.mean)[0]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw ``(*sample_shape, *batch, k)``, reparameterised, and remember the density of the draw."""
        u = self.base.rsample(torch.Size(sample_shape))
        z, log_det = self._apply(u)
        self._drawn = z, _version(z), self.base.log_prob(u) - log_det, torch.is_grad_enabled()
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density of ``value``, which broadcasts against ``(*batch, k)``, in nats."""
        known = self._remembered(value)
        if known is not None:
            return known
        batch = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        u, log_det = self._apply(value.expand(*batch, *self.event_shape), invert=True)
        return settle_overflow(self.base.log_prob(u) + log_det, value)

    def detached(self) -> "FlowDistribution":
        """Return the same distribution with a density that has a gradient with respect to :math:`z` alone."""
        base = detach_distribution(self.base)
        stopped = FlowDistribution(base, self.flow, detach_tensors(self.context))
        stopped._map = stopped_call(self.flow)
        if self._drawn is not None:
            z, version, log_prob, _ = self._drawn
            stopped._drawn = z, version, log_prob.detach(), False
        return stopped

    def _apply(self, value: Tensor, *, invert: bool = False) -> tuple[Tensor, Tensor]:
        return self._map(value, self.context, invert=invert)

    def _remembered(self, value: Tensor) -> Tensor | None:
        """Return the density remembered from the draw, where its gradient is right too; None elsewhere."""
        if self._drawn is None:
            return None
        z, version, log_prob, recorded = self._drawn
        if version != _version(z):
            return None  # changed in place since it was drawn
        if not torch.is_grad_enabled():
            return log_prob if value is z or _same_memory(value, z) else None
        if value is not z or not recorded or (z.requires_grad and not log_prob.requires_grad):
            return None
        return log_prob


def _version(z: Tensor) -> int:
    """Return how many times a tensor has been written to; 0 where PyTorch does not count."""
    return 0 if torch.compiler.is_compiling() or z.is_inference() else z._version


def _same_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are views of the same numbers."""
    if torch.compiler.is_compiling() or a.shape != b.shape or a.stride() != b.stride():
        return False
    try:
        return a.data_ptr() == b.data_ptr()
    except RuntimeError:  # a tensor without storage, under torch.func.vmap
        return False

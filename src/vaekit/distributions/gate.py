r"""The gated update of an inverse autoregressive flow, one dimension at a time.

.. math:: y = \sigma x + (1 - \sigma)\, m, \qquad \sigma = \operatorname{sigmoid}(s), \qquad
          \log \left| \frac{\partial y}{\partial x} \right| = \log \sigma

Kingma et al. (2016), "Improved Variational Inference with Inverse Autoregressive Flow", equations 13 and 14: like
the gate of a recurrent network, it keeps what it is given unless told otherwise.
"""

from typing import Any

from torch import Tensor
from torch.distributions import Transform, constraints
from torch.nn.functional import logsigmoid

from vaekit.networks.bounded import soft_bound

__all__ = ["GatedTransform"]

_INITIAL_GATE = 1.5  # the paper starts s "at +1 or +2"
_GATE_LIMIT = 12.0  # a step shrinks by a factor of 1.6e5 at most


class GatedTransform(Transform):
    r"""The update for given :math:`m` and :math:`s`.

    Parameters
    ----------
    target
        :math:`m`, any shape.
    raw
        :math:`s` before the shift to its start and the soft bound, the same shape.

    Examples
    --------
    >>> import torch
    >>> gate = GatedTransform(torch.tensor(2.0), torch.tensor(-1.5))
    >>> gate(torch.tensor(0.0)), gate.inv(torch.tensor(1.0))
    (tensor(1.), tensor(0.))
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = 1  # type: ignore[assignment]

    def __init__(self, target: Tensor, raw: Tensor) -> None:
        super().__init__()
        self.target = target
        self.gate = soft_bound(raw + _INITIAL_GATE, _GATE_LIMIT)

    def _call(self, x: Tensor) -> Tensor:
        return self.target + self.gate.sigmoid() * (x - self.target)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.target + (y - self.target) / self.gate.sigmoid()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Any:
        """Evaluate the logarithm of the gate."""
        return logsigmoid(self.gate).expand(x.shape)

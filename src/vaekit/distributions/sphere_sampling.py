r"""Draws on the sphere: the gap between a draw and the mean direction, and a rotation.

The gap :math:`s = 1 - w` by rejection (Wood, 1994, "Simulation of the von Mises Fisher distribution",
algorithm VM*, after Ulrich, 1984), with the candidates

.. math:: s = \frac{2 b \varepsilon}{b \varepsilon + 1 - \varepsilon}, \qquad
          \varepsilon \sim \mathrm{Beta}\!\left(\tfrac{k-1}2, \tfrac{k-1}2\right), \qquad
          b = \frac{k-1}{2\kappa + \sqrt{4\kappa^2 + (k-1)^2}}.

Each is accepted with a probability of at least 0.65, for every :math:`k` and :math:`\kappa`. 24 candidates
are drawn at once and the first accepted one is taken: there is no loop, nothing is read back from a device,
and no control flow depends on data, so that it runs under ``torch.func.vmap`` and ``torch.compile``. The
probability that none of the 24 is accepted is below 1e-11; the first candidate is then returned.
"""

from math import pi

import torch
from torch import Tensor

__all__ = ["draw_gap", "rotate_to", "uniform_directions"]

_CANDIDATES = 24


def draw_gap(concentration: Tensor, shape: torch.Size, k: int) -> Tensor:
    r"""Draw :math:`1 - \mu^\top z` for von Mises-Fisher draws, without gradient.

    Parameters
    ----------
    concentration
        :math:`\kappa \ge 0`, of a shape that broadcasts to ``shape``.
    shape
        The shape of the result.
    k
        Dimension of the space around the sphere, at least 2.

    Examples
    --------
    >>> gap = draw_gap(torch.tensor(1e6), torch.Size((1000,)), 3)  # of the mean (k - 1) / 2 kappa
    >>> bool((gap >= 0).all()), bool(0.9e-6 < gap.mean() < 1.1e-6)
    (True, True)
    """
    uniform = torch.rand(3, _CANDIDATES, *shape, dtype=concentration.dtype, device=concentration.device)
    epsilon, other = _symmetric_beta(uniform[0], uniform[1], k)
    n = torch.full_like(concentration, k - 1.0)
    b = n / (2.0 * concentration + torch.hypot(n, 2.0 * concentration))
    gap = 2.0 * b * epsilon / (b * epsilon + other)
    # Wood's x0 = (1 - b) / (1 + b), in gaps: y = 1 - x0.
    x, y = (1.0 - b) / (1.0 + b), 2.0 * b / (1.0 + b)
    log_acceptance = concentration * (y - gap) + n * ((1.0 + x * gap / y) / (1.0 + x)).log()
    accepted = log_acceptance >= uniform[2].log()
    first = accepted.to(torch.int8).argmax(0, keepdim=True)
    return gap.gather(0, first).squeeze(0)


def _symmetric_beta(first: Tensor, second: Tensor, k: int) -> tuple[Tensor, Tensor]:
    r"""Turn two uniform numbers into :math:`\varepsilon` and :math:`1 - \varepsilon`, both of relative accuracy.

    :math:`2 \varepsilon - 1 = \sqrt{1 - U^{2 / (k-2)}} \cos 2\pi V` has the density
    :math:`\propto (1 - t^2)^{(k-3)/2}` (Devroye, 1986, "Non-Uniform Random Variate Generation", theorem
    IX.3.3).
    """
    cosine, sine = (pi * second).cos().square(), (pi * second).sin().square()
    if k == 2:
        return cosine, sine
    log_squared = first.log() * (2.0 / (k - 2))
    radius = (-log_squared.expm1()).sqrt()
    half_rest = 0.5 * log_squared.exp() / (1.0 + radius)  # (1 - radius) / 2
    return half_rest + radius * cosine, half_rest + radius * sine


def uniform_directions(like: Tensor, shape: torch.Size, k: int) -> Tensor:
    """Draw uniformly from the unit sphere in R^k: ``(*shape, k)``.

    Examples
    --------
    >>> uniform_directions(torch.zeros(()), torch.Size((5,)), 3).square().sum(-1).round(decimals=5)
    tensor([1., 1., 1., 1., 1.])
    """
    normal = torch.randn(*shape, k, dtype=like.dtype, device=like.device)
    norm = normal.square().sum(-1, keepdim=True).sqrt()
    # All k numbers are zero only in one dimension, about once in ten million draws.
    return torch.where(norm > 0, normal / norm, 1.0 / k**0.5)


def rotate_to(direction: Tensor, z: Tensor) -> Tensor:
    r"""Rotate points so that the first axis goes to a direction: a Householder reflection and a change of sign.

    .. math:: z - \frac{2 u u^\top}{u^\top u} z, \qquad u = \mu + \operatorname{sign}(\mu_1) e_1

    takes :math:`e_1` to :math:`-\operatorname{sign}(\mu_1) \mu`, and never divides by a small number.

    Parameters
    ----------
    direction
        :math:`\mu`, ``(..., k)``, unit vectors.
    z
        ``(..., k)``, of a shape that ``direction`` broadcasts to.

    Examples
    --------
    >>> rotate_to(torch.tensor([0.6, 0.8]), torch.tensor([1.0, 0.0]))
    tensor([0.6000, 0.8000])
    """
    sign = torch.where(direction[..., :1] < 0, -1.0, 1.0).to(direction.dtype)
    axis = torch.cat([direction[..., :1] + sign, direction[..., 1:]], -1)
    along = (axis * z).sum(-1, keepdim=True) / (1.0 + direction[..., :1].abs())  # 2 / u'u = 1 / (1 + |mu_1|)
    return -sign * (z - axis * along)

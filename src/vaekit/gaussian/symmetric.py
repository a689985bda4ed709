r"""The Jeffreys divergence: both directions of the Kullback-Leibler divergence at once.

$$ J(p, q) = \mathrm{KL}(p \| q) + \mathrm{KL}(q \| p)
   = \frac12 \sum_i \Big( \frac{e_i^2}{1 + e_i} + w_i^2 + \frac{w_i^2}{1 + e_i} \Big) $$

over the relative spectrum: the log-determinants cancel as formulas, before anything is rounded.
"""

import math
from typing import Any

from torch import Tensor

from vaekit.gaussian.pair import deliver, pair_of
from vaekit.gaussian.relative import Whitened, whitened
from vaekit.gaussian.spectral import evaluate, identity_plus, outer

__all__ = ["jeffreys", "jeffreys_of"]


def jeffreys(p: Any, q: Any) -> Any:
    """Jeffreys divergence `KL(p || q) + KL(q || p)` in nats, (...), symmetric, never negative.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast.

    Returns
    -------
    tensor or array (...)
        inf where the supports differ.

    Raises
    ------
    GaussianError
        For a pair of different sizes, dtypes or devices.

    References
    ----------
    Jeffreys (1946), An invariant form for the prior probability in estimation problems.

    Examples
    --------
    >>> from vaekit.gaussian import Gaussian
    >>> float(jeffreys(Gaussian([2.0], variance=[1.0]), Gaussian([0.0], variance=[1.0])))
    4.0
    """
    p, q = pair_of(p, q)
    value = jeffreys_of(whitened(p.promoted(), q.promoted()))
    return deliver(value, p, q)


def jeffreys_of(pair: Whitened) -> Tensor:
    """The divergence of a whitened pair, with gradients."""
    return evaluate(pair, _value, _gradient, disjoint=math.inf)


def _value(excess: Tensor, ratio: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    return 0.5 * (excess * (excess / ratio) + forward.square() + backward.square()).sum(-1)


def _gradient(D: Tensor, z: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    x = (inverse @ z.unsqueeze(-1)).squeeze(-1)
    return 0.5 * (D @ inverse @ identity_plus(inverse) - outer(x, x)), z + x

r"""The exact evidence of linear-Gaussian models.

With a decoder that is an affine map, Gaussian noise that does not depend on :math:`z`, and a Gaussian prior,

.. math:: p(x) = \mathcal N\bigl(x;\; W m + b,\; W S W^\top + \operatorname{diag}(\sigma^2)\bigr),
          \qquad p(z) = \mathcal N(z; m, S), \quad p(x \mid z) = \mathcal N(x; W z + b, \operatorname{diag}(\sigma^2))

(Tipping and Bishop, 1999, "Probabilistic Principal Component Analysis", equation 4). Whether a model is of this kind is
not read from the names of its parts, but seen from its distributions, in double precision: the mean of
:math:`p(x \mid z)` is compared with an affine map at places near and far, and its log-density with that of a Gaussian
of its mean and variance. What is left between the two is the logarithm of a Jacobian, of scaled data.
"""

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vaekit.contracts import Model
from vaekit.errors import UsageError
from vaekit.evaluation.mending import in_double_precision
from vaekit.evaluation.probe import is_euclidean
from vaekit.runtime.randomness import seeded
from vaekit.runtime.surroundings import plain_arithmetic

__all__ = ["exact_log_likelihood"]

_PLACES, _SPREADS = 16, (1e-2, 1.0, 30.0)
_TOLERANCE = 1e-8  # relative, of double precision


@plain_arithmetic()
@torch.no_grad()
def exact_log_likelihood(model: Model, x: Tensor, *, c: Tensor | None = None) -> Tensor:
    r"""Return the exact :math:`\log p(x)` under a linear-Gaussian model, ``(n,)`` float64 in nats, on the CPU.

    Parameters
    ----------
    model
        Anything with ``encode``, ``prior`` and ``decode``.
    x
        ``(n, *event)``; a missing cell (NaN) is left out, as its integral is 1.
    c
        Condition; with one there is no exact answer here.

    Raises
    ------
    UsageError
        If the model is not linear-Gaussian; the message says what is not.

    Examples
    --------
    >>> from vaekit.conformance import LinearGaussian
    >>> truth = LinearGaussian.random(columns=3, latent=2)
    >>> x = truth.draw(5)
    >>> bool((exact_log_likelihood(truth.vae(exact=False), x) - truth.log_evidence(x)).abs().max() < 1e-12)
    True
    """
    if c is not None:
        raise _refusal("it has conditions")
    double, rows, _ = in_double_precision(model, x, None)
    if rows.dtype != torch.float64:
        raise _refusal("it cannot be evaluated in double precision")
    parts = _linear_gaussian(double, rows[:1])
    found = torch.empty(len(rows), dtype=torch.float64)
    flat = rows.flatten(1)
    patterns, which = torch.unique(flat.isnan(), dim=0, return_inverse=True)
    for k, missing in enumerate(patterns):
        mine, seen = (which == k).nonzero()[:, 0], ~missing
        if not bool(seen.any()):
            found[mine.cpu()] = 0.0  # of nothing the probability is 1
            continue
        log_jacobian = parts.log_jacobian(double, rows[mine[:1]])
        weight, mean = parts.weight[seen], parts.mean[seen]
        covariance = weight @ parts.prior_covariance @ weight.T + parts.variance[seen].diag()
        evidence = MultivariateNormal(mean, covariance_matrix=covariance, validate_args=False)
        found[mine.cpu()] = (evidence.log_prob(flat[mine][:, seen]) + log_jacobian).cpu()
    return found


class _LinearGaussian(NamedTuple):
    """The numbers of a linear-Gaussian model: of x flat, ``(D, d)``, ``(D,)``, ``(D,)``; of z ``(d, d)``."""

    weight: Tensor
    mean: Tensor  # of x
    variance: Tensor  # of x given z
    prior_covariance: Tensor
    z: Tensor  # ``(1, *latent)``, the prior's mean

    def log_jacobian(self, model: Model, x: Tensor) -> Tensor:
        """Return the logarithm of the Jacobian of the cells of one row that are there."""
        p = model.decode(self.z)
        return p.log_prob(x) - _gaussian(p, x)


def _refusal(reason: str) -> UsageError:
    return UsageError(
        f"method='exact' is for linear-Gaussian models, and of this one {reason}: fit with likelihood=gaussian, "
        "network=mlp:hidden=none and prior=standard or gaussian, or use method='annealed'"
    )


def _linear_gaussian(model: Model, x: Tensor) -> _LinearGaussian:
    """Read the numbers of a model from its distributions, or refuse it."""
    p = model.prior()
    if not is_euclidean(model, model.encode(x), p):
        raise _refusal("latents are no vectors of real numbers")
    centre, covariance = _moments(p)
    d = prod(p.event_shape)

    def mean(z: Tensor) -> Tensor:
        found = model.decode(z.reshape(-1, *p.event_shape)).mean
        return found.reshape(len(z), -1)

    _require_gaussian_noise(model, x, centre.reshape(1, *p.event_shape))
    origin = mean(torch.zeros(1, d, dtype=x.dtype, device=x.device))[0]
    weight = (mean(torch.eye(d, dtype=x.dtype, device=x.device)) - origin).T
    with seeded(0):
        noise = torch.randn(_PLACES, d, dtype=x.dtype).to(x.device)
    for spread in _SPREADS:
        z = spread * noise
        expected, seen = origin + z @ weight.T, mean(z)
        size = max(1.0, float(expected.abs().max()))
        if not bool((seen - expected).abs().max() <= _TOLERANCE * size):
            raise _refusal("the decoder is no affine map of z")
        variance = model.decode(z.reshape(-1, *p.event_shape)).variance
        variance = variance.expand(len(z), *x.shape[1:]).flatten(1)
        if not bool((variance - variance[:1]).abs().max() <= _TOLERANCE * variance.max()):
            raise _refusal("the noise depends on z")
    at_centre = model.decode(centre.reshape(1, *p.event_shape))
    variance = at_centre.variance.expand(1, *x.shape[1:]).flatten()
    return _LinearGaussian(
        weight, origin + weight @ centre, variance, covariance, centre.reshape(1, *p.event_shape)
    )


def _moments(p: Distribution) -> tuple[Tensor, Tensor]:
    """Return mean ``(d,)`` and covariance ``(d, d)`` of a Gaussian prior."""
    base = p.base_dist if isinstance(p, Independent) else p
    if not p.batch_shape and isinstance(base, Normal):
        return base.mean.flatten(), base.variance.flatten().diag()
    if not p.batch_shape and isinstance(base, MultivariateNormal):
        return base.mean, base.covariance_matrix
    raise _refusal("the prior is no Gaussian")


def _require_gaussian_noise(model: Model, x: Tensor, z: Tensor) -> None:
    """Refuse a likelihood whose log-density is not that of a Gaussian of its mean and variance, but for a constant."""
    try:
        p = model.decode(z)
        with seeded(0):
            noise = torch.randn(_PLACES, *x.shape[1:], dtype=x.dtype).to(x.device)
        tried = p.mean + 3 * p.variance.sqrt() * noise
        difference = p.log_prob(tried) - _gaussian(p, tried)
    except (NotImplementedError, ValueError):  # no variance; a support that has ends
        raise _refusal("the likelihood is not gaussian") from None
    size = max(1.0, float(_gaussian(p, tried).abs().max()))
    if not bool((difference - difference[0]).abs().max() <= _TOLERANCE * size):
        raise _refusal("the likelihood is not gaussian")


def _gaussian(p: Distribution, x: Tensor) -> Tensor:
    """Evaluate the Gaussian of a distribution's mean and variance at the cells of rows that are there, ``(n,)``."""
    terms = Normal(p.mean, p.variance.sqrt(), validate_args=False).log_prob(x)
    return terms.masked_fill(x.isnan(), 0.0).flatten(1).sum(1)

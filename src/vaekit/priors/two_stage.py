r"""The two-stage prior: a second variational autoencoder, of the latents of the first.

.. math::

    p(z) = \int p(z \mid u)\, \mathcal N(u; 0, I)\, du, \qquad
    z = m + s \odot \tilde z, \quad
    p(\tilde z \mid u) = \mathcal N\bigl(\tfrac{1}{\sqrt 2} u + f(u), \operatorname{diag} \gamma^2\bigr), \quad
    q(u \mid \tilde z) = \mathcal N\bigl(\tfrac{1}{\sqrt 2} \tilde z + g(\tilde z),
    \operatorname{diag} \sigma^2(\tilde z)\bigr)

Dai and Wipf (2019), "Diagnosing and Enhancing VAE Models", section 4. As there, :math:`u` has as many
dimensions as :math:`z`, and the scale :math:`\gamma` of the decoder is learned (here one per dimension). The
identity beside the networks is ours: with :math:`f = g = 0` and :math:`\gamma^2 = \sigma^2 = 1/2`, where the
prior starts, it is the standard Gaussian, and its bound is exact.

**The density is known as an unbiased estimate,**

.. math::

    \hat p(z) = \frac 1 K \sum_{k=1}^K \frac{p(z \mid u_k)\, \mathcal N(u_k; 0, I)}{q(u_k \mid z)},
    \quad u_k = \mu(z) + \sigma(z) \odot \varepsilon_k, \quad \varepsilon_k \sim \mathcal N(0, I)

Over the noise :math:`\mathbb E\, \hat p(z) = p(z)`, hence :math:`\mathbb E \log \hat p(z) \le \log p(z)`
(Burda, Grosse and Salakhutdinov, 2015, equation 8): the logarithm is a *lower bound in expectation*. An
importance weight contains :math:`\hat p(z)`, which is unbiased, so an estimate of :math:`\log p(x)` from such
weights is a lower bound in expectation too, as it is with an exact prior. Evaluation says so beside its
numbers.

That requires noise which differs from one :math:`z` to the next: with one set of noise for all, its error
would be in every term of a mean, and no standard error would show it. :func:`rotated_noise` makes the noise a
function of :math:`z`.
"""

from collections.abc import Callable
from math import log
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import DistributionTraits, Prior, PriorTraits
from vaekit.distributions.base import VectorDistribution, stopped_call
from vaekit.distributions.normals import independent_normal, settle_overflow
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.networks.mlp import MultilayerPerceptron
from vaekit.networks.network_inputs import require_condition

__all__ = ["SecondStage", "TwoStageDistribution", "TwoStagePrior", "rotated_noise"]

_ROOT_HALF = 0.5**0.5
_TRAINING_SAMPLES = 16
_MIXING = 100.0  # turns of the unit interval per unit of the latents
_LOG_VARIANCE_LIMIT = 24.0


class TwoStagePrior(nn.Module, Prior):
    r"""``two-stage``: a second VAE as the prior, with exact draws and a lower bound of the log-density.

    In training mode the noise of the bound is fresh at every call (sixteen vectors per latent), so that the
    networks cannot fit to it. In evaluation mode it is a function of :math:`z`: the same latent has the same
    value twice, and different latents have different noise, so that errors average out in a mean. The bound
    tightens with ``samples``.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.
    condition
        The number of numbers in a condition, an input of both networks; 0: the prior has none.
    hidden
        Sizes of the hidden layers of both networks.
    samples
        The number of importance samples of the bound in evaluation.

    Raises
    ------
    UsageError
        If there is no sample, or a hidden layer has no unit.

    Examples
    --------
    >>> prior = TwoStagePrior((2,), samples=8).eval()
    >>> prior().log_prob(torch.zeros(5, 2)), prior().sample(torch.Size((5,))).shape
    (tensor([-1.8379, -1.8379, -1.8379, -1.8379, -1.8379], grad_fn=...), torch.Size([5, 2]))
    """

    points: Tensor
    mix: Tensor

    def __init__(
        self,
        latent_shape: tuple[int, ...],
        condition: int = 0,
        *,
        hidden: tuple[int, ...] = (128, 128),
        samples: int = 32,
    ) -> None:
        super().__init__()
        if samples < 1:
            raise UsageError(f"two-stage: samples={samples}; give at least 1")
        if any(size < 1 for size in hidden):
            raise UsageError(
                f"two-stage: hidden={'x'.join(map(str, hidden))} has a layer without units; give sizes of at least 1, "
                "such as hidden=128x128"
            )
        (k,) = latent_shape
        self.stage = SecondStage(k, condition, hidden=hidden)
        self.register_buffer("points", torch.rand(samples, k))
        self.register_buffer("mix", _MIXING * torch.randn(k, k))
        if condition:
            self.traits = PriorTraits(needs=frozenset({"condition"}))

    def forward(self, *, condition: Tensor | None = None) -> Distribution:
        """Return the prior over ``(k,)``, of batch shape ``(batch,)`` if there is a condition ``(batch, d)``."""
        if self.traits.needs:
            condition = require_condition(condition)
        (size,) = self.stage.location.shape
        if self.training:
            noise, samples = _fresh_noise, _TRAINING_SAMPLES
        else:
            noise, samples = self._own_noise, len(self.points)
        return TwoStageDistribution(self.stage, size, noise, condition, bound_samples=samples)

    def _own_noise(self, z: Tensor) -> Tensor:
        return rotated_noise(self.stage.standardise(z), self.points, self.mix)


def _fresh_noise(z: Tensor) -> Tensor:
    half = torch.randn(_TRAINING_SAMPLES // 2, *z.shape, dtype=z.dtype, device=z.device)
    return torch.cat([half, -half])


class SecondStage(nn.Module):
    r"""The two halves of the second VAE: :math:`p(z \mid u)` and :math:`q(u \mid z)`.

    Parameters
    ----------
    size
        The number of dimensions of :math:`z`, and of :math:`u`.
    condition
        The number of further inputs of both networks.
    hidden
        Sizes of the hidden layers of both networks.

    Examples
    --------
    >>> stage = SecondStage(2, 0, hidden=(8,))
    >>> stage(torch.zeros(4, 2)).mean.shape, stage(torch.ones(4, 2), recognise=True).mean[0]
    (torch.Size([4, 2]), tensor([0.7071, 0.7071], grad_fn=<SelectBackward0>))
    """

    def __init__(self, size: int, condition: int, *, hidden: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (size + condition,)
        self.location = nn.Parameter(torch.zeros(size))
        self.log_scale = nn.Parameter(torch.zeros(size))
        self.log_noise = nn.Parameter(torch.zeros(size))
        self.encoder = MultilayerPerceptron(inputs, (2 * size,), hidden=hidden)
        self.decoder = MultilayerPerceptron(inputs, (size,), hidden=hidden)
        for network in (self.encoder, self.decoder):
            for parameter in network.last.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self, value: Tensor, condition: Tensor | None = None, *, recognise: bool = False
    ) -> Distribution:
        r"""Return :math:`p(z \mid u)` of ``value`` u, or with ``recognise`` :math:`q(u \mid z)` of ``value`` z."""
        if recognise:
            inner = self.standardise(value)
            shift, log_variance = self.encoder(_beside(inner, condition)).chunk(2, -1)
            deviation = _ROOT_HALF * (0.5 * soft_bound(log_variance, _LOG_VARIANCE_LIMIT)).exp()
            return independent_normal(_ROOT_HALF * inner + shift, deviation)
        scale = soft_bound(self.log_scale).exp()
        inner = _ROOT_HALF * value + self.decoder(_beside(value, condition))
        return independent_normal(
            self.location + scale * inner, _ROOT_HALF * scale * soft_bound(self.log_noise).exp()
        )

    def standardise(self, z: Tensor) -> Tensor:
        r"""Return :math:`\tilde z`, ``(..., k)``."""
        return (z - self.location) / soft_bound(self.log_scale).exp()


def _beside(value: Tensor, condition: Tensor | None) -> Tensor:
    if condition is None:
        return value
    return torch.cat([value, condition.to(value.dtype).expand(*value.shape[:-1], -1)], -1)


_AT_ONCE = 8  # noise vectors per evaluation of the networks: it changes memory, not the result


class TwoStageDistribution(VectorDistribution):
    r"""The distribution of :math:`z` under :math:`u \sim \mathcal N(0, I),\ z \sim p(z \mid u)`.

    Draws are exact. ``log_prob`` is :math:`\log \hat p(z)`, a lower bound in expectation over the noise.
    ``mean`` is the mean of :math:`p(z \mid u = 0)`: deterministic, but not the expectation.

    Parameters
    ----------
    stage
        A module: ``stage(u, condition)`` returns :math:`p(z \mid u)`, and ``stage(z, condition,
        recognise=True)`` returns :math:`q(u \mid z)`, both independent normals over ``(k,)``.
    size
        The number of dimensions :math:`k`.
    noise
        A function from :math:`z`, ``(..., k)``, to :math:`\varepsilon`, ``(K, ..., k)``.
    condition
        Passed to the stage, ``(batch, d)``; None: there is none.
    bound_samples
        :math:`K`, which the distribution's traits report.

    Examples
    --------
    >>> from torch.distributions import Independent, Normal
    >>> class Half(nn.Module):
    ...     def forward(self, value, condition=None, recognise=False):
    ...         return Independent(Normal(0.5**0.5 * value, 0.5**0.5), 1)
    >>> p = TwoStageDistribution(Half(), 2, lambda z: torch.randn(6, *z.shape), bound_samples=6)
    >>> p.log_prob(torch.zeros(3, 2)), p.sample(torch.Size((4,))).shape  # z ~ N(0, I), and q(u|z) is exact
    (tensor([-1.8379, -1.8379, -1.8379]), torch.Size([4, 2]))
    """

    def __init__(
        self,
        stage: nn.Module,
        size: int,
        noise: Callable[[Tensor], Tensor],
        condition: Tensor | None = None,
        *,
        bound_samples: int,
    ) -> None:
        self.stage, self.noise, self.condition = stage, noise, condition
        self.bound_samples = bound_samples
        self.traits = DistributionTraits(bound_samples=bound_samples)
        self._call: Callable[..., Distribution] = stage
        batch_shape = torch.Size() if condition is None else condition.shape[:-1]
        super().__init__(batch_shape, torch.Size((size,)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        r"""The mean of :math:`p(z \mid u = 0)`, ``(*batch, k)``."""
        return self._call(self._empty(()).zero_(), self.condition).mean

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw ``(*sample_shape, *batch, k)``, exactly and reparameterised."""
        return self._call(torch.randn_like(self._empty(sample_shape)), self.condition).rsample()

    def log_prob(self, value: Tensor) -> Tensor:
        r"""Evaluate :math:`\log \hat p(z)` of ``value``, which broadcasts against ``(*batch, k)``, in nats."""
        batch = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        z = value.expand(*batch, *self.event_shape)
        q = self._call(z, self.condition, recognise=True)
        noise = self.noise(z)
        weights = torch.cat([self._log_weight(z, q, part) for part in noise.split(_AT_ONCE)])
        return settle_overflow(weights.logsumexp(0) - log(len(weights)), z)

    def detached(self) -> "TwoStageDistribution":
        """Return the same distribution with a density that has a gradient with respect to :math:`z` alone."""
        condition = None if self.condition is None else self.condition.detach()
        (size,) = self.event_shape
        stopped = TwoStageDistribution(
            self.stage, size, self.noise, condition, bound_samples=self.bound_samples
        )
        stopped._call = stopped_call(self.stage)
        return stopped

    def _empty(self, sample_shape: Any) -> Tensor:
        like = next(self.stage.parameters(), torch.empty(0))
        return like.new_empty(*torch.Size(sample_shape), *self.batch_shape, *self.event_shape)

    def _log_weight(self, z: Tensor, q: Distribution, noise: Tensor) -> Tensor:
        """Return the logarithms of the terms of the sum, ``(samples, ...)``."""
        u = q.mean + q.stddev * noise
        log_likelihood = self._call(u, self.condition).log_prob(z)
        # log N(u; 0, I) - log q(u|z): the constants cancel.
        return log_likelihood + (0.5 * (noise.square() - u.square()) + q.stddev.log()).sum(-1)


def rotated_noise(z: Tensor, points: Tensor, mix: Tensor) -> Tensor:
    r"""Return standard normal noise that is a function of :math:`z`: points, shifted around the unit cube by a hash.

    .. math:: \varepsilon_k = \Phi^{-1}\bigl((p_k + M^\top z) \bmod 1\bigr)

    Cranley and Patterson (1976), "Randomization of Number Theoretic Methods for Multiple Integration", shift
    points at random, so that each is uniform whatever the set. Here the large numbers :math:`M` make the
    shifts of nearby :math:`z` differ, and the shift of the same :math:`z` is always the same. No gradient
    flows through the noise.

    Parameters
    ----------
    z
        ``(..., k)``, of a scale of about 1.
    points
        :math:`p_k \in [0, 1)^k`, ``(K, k)``.
    mix
        :math:`M`, ``(k, k)``.

    Returns
    -------
    Tensor
        ``(K, ..., k)``.

    Examples
    --------
    >>> points, mix = torch.rand(8, 2), 100 * torch.randn(2, 2)
    >>> noise = rotated_noise(torch.randn(10_000, 2), points, mix)
    >>> noise.shape, noise[0].mean(0).abs().max() < 0.05, (noise[0].std(0) - 1).abs().max() < 0.05
    (torch.Size([8, 10000, 2]), tensor(True), tensor(True))
    """
    shift = z.detach() @ mix
    points = points.reshape(len(points), *[1] * (z.dim() - 1), -1)
    # Half a rounding error inside the open interval: at its ends the quantile is infinite.
    rounding = torch.finfo(z.dtype).eps
    uniform = (points + shift).remainder(1) * (1 - rounding) + 0.5 * rounding
    return torch.special.ndtri(uniform)

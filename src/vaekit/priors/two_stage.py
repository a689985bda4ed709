r"""The two-stage prior: a second variational autoencoder, of the latents of the first.

.. math::

    p(z) = \int p(z \mid u)\, \mathcal N(u; 0, I)\, du, \qquad
    z = m + s \odot \tilde z, \quad
    p(\tilde z \mid u) = \mathcal N\bigl(\tfrac{1}{\sqrt 2} u + f(u), \operatorname{diag} \gamma^2\bigr), \quad
    q(u \mid \tilde z) = \mathcal N\bigl(\tfrac{1}{\sqrt 2} \tilde z + g(\tilde z),
    \operatorname{diag} \sigma^2(\tilde z)\bigr)

Dai and Wipf (2019), "Diagnosing and Enhancing VAE Models", section 4. As there :math:`u` has as many dimensions as
:math:`z` and the scale :math:`\gamma` of the decoder is learned (here one a dimension); the identity beside the
networks is ours: with :math:`f = g = 0` and :math:`\gamma^2 = \sigma^2 = 1/2`, where the prior starts, it is the
standard Gaussian, and its bound exact.

**Its density is not closed.** What it gives for :math:`\log p(z)` is a lower bound in expectation
(:mod:`vaekit.distributions.two_stage`), and so is whatever is made of it: evaluation says so beside its numbers.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Prior, PriorTraits
from vaekit.distributions import TwoStageDistribution, rotated_noise
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.networks.conditioned import require_condition
from vaekit.networks.mlp import MultilayerPerceptron

__all__ = ["SecondStage", "TwoStagePrior"]

_ROOT_HALF = 0.5**0.5
_TRAINING_SAMPLES = 16
_MIXING = 100.0  # turns of the unit interval a unit of latents
_LOG_VARIANCE_LIMIT = 24.0


class TwoStagePrior(nn.Module, Prior):
    r"""``two-stage``: a second VAE in the prior's slot; drawn exactly, with a lower bound for a log-density.

    In training mode the noise of the bound is fresh at every call (sixteen vectors a latent), so that the networks
    cannot fit to it. In evaluation mode it is a function of :math:`z`, so the same latent has the same value twice, and
    different latents have different noise: the errors of a mean average out. The bound tightens with ``samples``.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.
    condition
        How many numbers a condition has; 0: the prior has none. Both networks are given it.
    hidden
        Sizes of the hidden layers of both networks.
    samples
        Importance samples of the bound in evaluation.

    Raises
    ------
    UsageError
        If there is no sample, or a hidden layer has no unit.

    Examples
    --------
    >>> prior = TwoStagePrior((2,), samples=8).eval()
    >>> prior().log_prob(torch.zeros(5, 2)), prior().sample(torch.Size((5,))).shape
    (tensor([-1.8379, -1.8379, -1.8379, -1.8379, -1.8379], grad_fn=<SubBackward0>), torch.Size([5, 2]))
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
        """Give the prior over ``(k,)``, of batch shape ``(batch,)`` where there is a condition ``(batch, d)``."""
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
    r"""Both halves of the second VAE: :math:`p(z \mid u)` and :math:`q(u \mid z)`.

    Parameters
    ----------
    size
        Number of dimensions, of :math:`z` and of :math:`u`.
    condition
        Number of further inputs of both networks.
    hidden
        Sizes of their hidden layers.

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
            nn.init.zeros_(network.layers[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(network.layers[-1].bias)  # type: ignore[arg-type]

    def forward(
        self, value: Tensor, condition: Tensor | None = None, *, recognise: bool = False
    ) -> Distribution:
        """Give the distribution of :math:`z` given ``value``, :math:`u`; or the other way round."""
        if recognise:
            inner = self.standardise(value)
            shift, log_variance = self.encoder(_beside(inner, condition)).chunk(2, -1)
            deviation = _ROOT_HALF * (0.5 * soft_bound(log_variance, _LOG_VARIANCE_LIMIT)).exp()
            return _normals(_ROOT_HALF * inner + shift, deviation)
        scale = soft_bound(self.log_scale).exp()
        inner = _ROOT_HALF * value + self.decoder(_beside(value, condition))
        return _normals(self.location + scale * inner, _ROOT_HALF * scale * soft_bound(self.log_noise).exp())

    def standardise(self, z: Tensor) -> Tensor:
        r"""Give :math:`\tilde z`, ``(..., k)``."""
        return (z - self.location) / soft_bound(self.log_scale).exp()


def _beside(value: Tensor, condition: Tensor | None) -> Tensor:
    if condition is None:
        return value
    return torch.cat([value, condition.to(value.dtype).expand(*value.shape[:-1], -1)], -1)


def _normals(mean: Tensor, scale: Tensor) -> Distribution:
    return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)

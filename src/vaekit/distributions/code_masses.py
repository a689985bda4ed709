r"""Probability masses over codes: independent positions, or each position given the ones before it.

**Independent.** With standard Gumbel noise :math:`g`,

.. math:: \log p(k) = \sum_{i=1}^P \log \pi_{i, k_i}, \qquad k_i = \arg\max_k (\log \pi_{ik} + g_{ik}), \qquad
          y_i = \operatorname{softmax}\bigl((\log \pi_i + g_i) / \tau\bigr)

are the mass, an exact draw and its relaxation (Jang, Gu and Poole, 2017, equations 1 and 2; Maddison, Mnih
and Teh, 2017, equations 9 and 10). :meth:`CategoricalCodes.rsample` has the value of the draw and the
gradient of the relaxation ("straight-through").

**Autoregressive.**

.. math:: \log p(k) = \sum_{i=1}^P \log p(k_i \mid k_1, \dots, k_{i-1})

Germain et al. (2015), "MADE: Masked Autoencoder for Distribution Estimation", equation 3; as the prior of a
quantised model, van den Oord et al. (2017), section 3.4.

**Divergence.** Between categorical variables, as a sum of terms that are never negative:

.. math:: \mathrm{KL}(q \,\|\, p) = \sum_k q_k \log \frac{q_k}{p_k}
          = \sum_k q_k \bigl(d_k + e^{-d_k} - 1\bigr), \qquad d_k = \log q_k - \log p_k

Both forms are equal because :math:`q` and :math:`p` sum to one; the terms of the first have both signs and
cancel.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from vaekit.contracts import CodeSpace, DistributionTraits
from vaekit.distributions.base import DistributionOverCodes, SampleShape

__all__ = ["AutoregressiveCodes", "CategoricalCodes", "categorical_kl", "pick"]

_ONE = torch.Size()


class CategoricalCodes(DistributionOverCodes):
    r"""Independent categoricals over the positions of a code space.

    Parameters
    ----------
    logits
        ``(*batch, positions, codes)``, each position up to a constant.
    codebook
        The code space.
    temperature
        :math:`\tau` of the relaxation. The lower it is, the closer the relaxation is to the draw, and the
        noisier its gradient.
    relaxed
        Whether a surrogate loss should use the relaxation itself rather than the draw with its gradient; see
        :meth:`draw_pair`.

    Examples
    --------
    >>> from vaekit.distributions import OneHotCodes
    >>> p = CategoricalCodes(torch.tensor([[0.0, 0.0]]), OneHotCodes(1, 2))
    >>> p.log_prob(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    tensor([-0.6931,    -inf])
    """

    def __init__(
        self, logits: Tensor, codebook: CodeSpace, *, temperature: float = 1.0, relaxed: bool = False
    ) -> None:
        self.log_masses = logits.log_softmax(-1)
        self.codebook = codebook
        self.temperature = temperature
        self.relaxed = relaxed
        self.traits = _RELAXED if relaxed else self.traits
        super().__init__(logits.shape[:-2], codebook.event_shape, validate_args=False)

    @property
    def probs(self) -> Tensor:
        """The probabilities, ``(*batch, positions, codes)``."""
        return self.log_masses.exp()

    @property
    def codes(self) -> Tensor:
        """The most probable codes, ``(*batch, positions)``."""
        return self.log_masses.argmax(-1)

    @property
    def mode(self) -> Tensor:
        """The most probable latent."""
        return self.codebook.embed(self.codes)

    @property
    def mean(self) -> Tensor:
        """The expected latent: for unit vectors, the probabilities."""
        return self._average(self.probs)

    def sample(self, sample_shape: SampleShape = _ONE) -> Tensor:
        """Draw ``(*sample, *batch, *event)``."""
        with torch.no_grad():
            return self.codebook.embed(self._perturbed(sample_shape).argmax(-1))

    def rsample(self, sample_shape: SampleShape = _ONE) -> Tensor:
        """Draw ``(*sample, *batch, *event)``, with the gradient of the relaxation."""
        return self.draw_pair(sample_shape)[0]

    def draw_pair(self, sample_shape: SampleShape = _ONE) -> tuple[Tensor, Tensor]:
        """Return a draw and the relaxation of the same noise; both have the gradient of the relaxation."""
        perturbed = self._perturbed(sample_shape)
        hard = self.codebook.embed(perturbed.argmax(-1))
        soft = self._average((perturbed / self.temperature).softmax(-1))
        return hard + (soft - soft.detach()), soft

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-mass of latents, in nats; minus infinity where a latent is not a code."""
        if self.codebook.is_differentiable:
            one_hot, exact = self.codebook.one_hot(value)
            each = (one_hot * self.log_masses).sum(-1)
        else:
            codes, exact = self.codebook.find(value)
            each = pick(self.log_masses, codes)
        return each.sum(-1).masked_fill(~exact, -torch.inf)

    def entropy(self) -> Tensor:
        """Return the entropy in nats, ``(*batch,)``."""
        return -(self.probs * self.log_masses).sum((-2, -1))

    def detached(self) -> "CategoricalCodes":
        """Return the same distribution without gradients."""
        return CategoricalCodes(
            self.log_masses.detach(), self.codebook, temperature=self.temperature, relaxed=self.relaxed
        )

    def _average(self, weights: Tensor) -> Tensor:
        """Average the latents of the codes at each position with the weights ``(..., positions, codes)``."""
        if self.codebook.is_differentiable:  # unit vectors
            return weights.flatten(-2)
        every = torch.arange(self.codebook.codes, device=weights.device)
        vectors = self.codebook.embed(every[:, None].expand(-1, self.codebook.positions))
        each = vectors.unflatten(-1, (self.codebook.positions, -1))  # (codes, positions, numbers)
        return torch.einsum("...pk,kpd->...pd", weights, each).flatten(-2)

    def _perturbed(self, sample_shape: SampleShape) -> Tensor:
        shape = torch.Size(sample_shape) + self.log_masses.shape
        waits = torch.empty(shape, dtype=self.log_masses.dtype, device=self.log_masses.device).exponential_()
        return self.log_masses - waits.log()


def pick(table: Tensor, codes: Tensor) -> Tensor:
    """Look up ``(..., positions, codes)`` at ``(..., positions)``; both broadcast.

    Examples
    --------
    >>> pick(torch.tensor([[0.1, 0.9], [0.4, 0.6]]), torch.tensor([[1, 0], [0, 0]]))
    tensor([[0.9000, 0.4000],
            [0.1000, 0.4000]])
    """
    shape = torch.broadcast_shapes(table.shape[:-1], codes.shape)
    return table.expand(*shape, table.shape[-1]).gather(-1, codes.expand(shape)[..., None]).squeeze(-1)


_RELAXED = DistributionTraits(discrete=True, relaxed=True)


class AutoregressiveCodes(DistributionOverCodes):
    """A mass over codes from a network that sees, for each position, only the positions before it.

    Parameters
    ----------
    network
        Maps unit vectors ``(..., positions, codes)`` to logits of the same shape. The logits of a position
        must not depend on that position or on later ones.
    codebook
        The code space.
    like
        A tensor whose type and device the draws have.
    batch_shape
        The batch shape of the condition, where the network is conditional.

    Examples
    --------
    >>> from vaekit.distributions import OneHotCodes
    >>> p = AutoregressiveCodes(torch.zeros_like, OneHotCodes(3, 2), torch.zeros(()))
    >>> p.sample(torch.Size((5,))).shape, p.log_prob(p.sample())
    (torch.Size([5, 6]), tensor(-2.0794))
    """

    has_rsample = False

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        codebook: CodeSpace,
        like: Tensor,
        batch_shape: torch.Size = _ONE,
    ) -> None:
        self.network = network
        self.codebook = codebook
        self.like = like
        super().__init__(batch_shape, codebook.event_shape, validate_args=False)

    def log_mass(self, one_hot: Tensor) -> Tensor:
        """Return the log-masses ``(..., positions)``, in nats, of unit vectors ``(..., positions, codes)``."""
        return (one_hot * self.conditional_log_masses(one_hot)).sum(-1)

    def conditional_log_masses(self, one_hot: Tensor) -> Tensor:
        """Return the log-mass of every code given the codes before it, ``(..., positions, codes)``, in nats."""
        return self.network(one_hot).log_softmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-mass of latents, in nats; minus infinity where a latent is not a code."""
        one_hot, exact = self.codebook.one_hot(value)
        return self.log_mass(one_hot).sum(-1).masked_fill(~exact, -torch.inf)

    @torch.no_grad()
    def sample(self, sample_shape: SampleShape = _ONE) -> Tensor:
        """Draw one position after the other; the draws are exact."""
        positions, codes = self.codebook.positions, self.codebook.codes
        one_hot = self.like.new_zeros(*sample_shape, *self.batch_shape, positions, codes)
        drawn = []
        for i in range(positions):
            logits = self.conditional_log_masses(one_hot)[..., i, :]
            drawn.append((logits - torch.empty_like(logits).exponential_().log()).argmax(-1))
            one_hot[..., i, :] = F.one_hot(drawn[-1], codes).to(one_hot.dtype)
        return self.codebook.embed(torch.stack(drawn, -1))


_NEAR, _TERMS = 0.3, 14  # below _NEAR, a series of _TERMS terms has all digits of float64


def categorical_kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    r"""Compute :math:`\mathrm{KL}(q \,\|\, p)` of categorical variables, in nats.

    Parameters
    ----------
    log_q, log_p
        ``(..., codes)``: logarithms of masses that sum to one.

    Returns
    -------
    Tensor
        ``(...)``: never negative, and exactly 0 for equal arguments.

    Examples
    --------
    >>> categorical_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log())
    tensor(0.1438)
    """
    difference = log_q - log_p
    q = log_q.exp()
    near = difference.detach().abs() < _NEAR
    d = torch.where(near, difference, 0.0)
    series = torch.ones_like(d)  # d + exp(-d) - 1 = d^2 / 2 (1 - d / 3 (1 - d / 4 (...)))
    for k in range(_TERMS, 2, -1):
        series = 1.0 - d / k * series
    close = q * (0.5 * d * d * series)
    far = q * (difference - 1.0) + log_p.exp()
    return torch.where(near, close, far).sum(-1)

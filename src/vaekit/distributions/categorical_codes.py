r"""Independent categorical variables, one a position of a code space, and a draw that gradients can flow through.

.. math:: \log p(k) = \sum_{i=1}^P \log \pi_{i, k_i}

With standard Gumbel noise :math:`g`, :math:`k_i = \arg\max_k (\log \pi_{ik} + g_{ik})` is an exact draw, and

.. math:: y_i = \operatorname{softmax}\bigl((\log \pi_i + g_i) / \tau\bigr)

its relaxation (Jang, Gu and Poole, 2017, equations 1 and 2; Maddison, Mnih and Teh, 2017, equations 9 and 10).
:meth:`~CategoricalCodes.rsample` has the value of the first and the gradient of the second ("straight-through").
"""

import torch
from torch import Tensor
from torch.types import _size

from vaekit.contracts import CodeSpace, DistributionTraits
from vaekit.distributions.plain import DistributionOverCodes

__all__ = ["CategoricalCodes", "pick"]

_ONE = torch.Size()


class CategoricalCodes(DistributionOverCodes):
    r"""Independent categoricals over the positions of a code space.

    Parameters
    ----------
    logits
        ``(*batch, positions, codes)``, up to a constant a position.
    codebook
        How codes are written.
    temperature
        :math:`\tau` of the relaxation: the nearer 0, the closer it is to the draw, and the noisier its gradient.
    relaxed
        Whether a surrogate is to see the relaxation itself rather than the draw with its gradient; see
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
        """``(*batch, positions, codes)``."""
        return self.log_masses.exp()

    @property
    def codes(self) -> Tensor:
        """``(*batch, positions)``: the most probable."""
        return self.log_masses.argmax(-1)

    @property
    def mode(self) -> Tensor:
        """The most probable latent."""
        return self.codebook.embed(self.codes)

    @property
    def mean(self) -> Tensor:
        """The expected latent: for unit vectors, the probabilities."""
        return self._average(self.probs)

    def sample(self, sample_shape: _size = _ONE) -> Tensor:
        """Draw ``(*sample, *batch, *event)``."""
        with torch.no_grad():
            return self.codebook.embed(self._perturbed(sample_shape).argmax(-1))

    def rsample(self, sample_shape: _size = _ONE) -> Tensor:
        """Draw, with the gradient of the relaxation."""
        return self.draw_pair(sample_shape)[0]

    def draw_pair(self, sample_shape: _size = _ONE) -> tuple[Tensor, Tensor]:
        """Draw, and give the relaxation of the same noise beside it; both have its gradient."""
        perturbed = self._perturbed(sample_shape)
        hard = self.codebook.embed(perturbed.argmax(-1))
        soft = self._average((perturbed / self.temperature).softmax(-1))
        return hard + (soft - soft.detach()), soft

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the mass, in nats; minus infinity at what is no code."""
        if self.codebook.is_differentiable:
            one_hot, exact = self.codebook.one_hot(value)
            each = (one_hot * self.log_masses).sum(-1)
        else:
            codes, exact = self.codebook.find(value)
            each = pick(self.log_masses, codes)
        return each.sum(-1).masked_fill(~exact, -torch.inf)

    def entropy(self) -> Tensor:
        """In nats."""
        return -(self.probs * self.log_masses).sum((-2, -1))

    def detached(self) -> "CategoricalCodes":
        """The same without gradients."""
        return CategoricalCodes(
            self.log_masses.detach(), self.codebook, temperature=self.temperature, relaxed=self.relaxed
        )

    def _average(self, weights: Tensor) -> Tensor:
        """Average the codes' latents, each position with its weights ``(..., positions, codes)``."""
        if self.codebook.is_differentiable:  # unit vectors
            return weights.flatten(-2)
        every = torch.arange(self.codebook.codes, device=weights.device)
        vectors = self.codebook.embed(every[:, None].expand(-1, self.codebook.positions))
        each = vectors.unflatten(-1, (self.codebook.positions, -1))  # (codes, positions, numbers)
        return torch.einsum("...pk,kpd->...pd", weights, each).flatten(-2)

    def _perturbed(self, sample_shape: _size) -> Tensor:
        shape = torch.Size(sample_shape) + self.log_masses.shape
        like = {"dtype": self.log_masses.dtype, "device": self.log_masses.device}
        return self.log_masses - torch.empty(shape, **like).exponential_().log()


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

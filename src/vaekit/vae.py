r"""The composition: a variational autoencoder is three conditional distributions.

.. math::

    \text{encode}(x) &\to q(z \mid x) && \text{the posterior} \\
    \text{prior}()   &\to p(z)        && \text{the prior} \\
    \text{decode}(z) &\to p(x \mid z) && \text{the likelihood}

Everything else in vaekit (objectives, evaluation, training, plots) only ever sees these three calls, each of
which returns a ``torch.distributions.Distribution`` or one with the same interface. Kingma and Welling (2013),
"Auto-Encoding Variational Bayes", section 2.

**How parts reach each other.** A part that needs the rest of the model names what in the ``needs`` of its traits
(``{"encode"}`` for a VampPrior, say) and is *given* it as a keyword argument at every call. No part stores a
reference to another, so the tie survives ``copy.deepcopy``, saving and loading, and distribution over
processes. ``c``, a condition, reaches the networks, and the parts that list ``"condition"``, the same way.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from vaekit.contracts import Described, Likelihood, Need, Posterior, Prior, check_part

__all__ = ["VAE", "code_of"]


def code_of(q: Distribution) -> Tensor:
    r"""Give the latent point that stands for a posterior: its mean.

    Where the mean is no point of the latent space (that of draws from a sphere lies inside it, and that of codes
    between them) a :class:`vaekit.contracts.Described` distribution says which point in ``code``.

    Examples
    --------
    >>> code_of(torch.distributions.Normal(torch.ones(2), 1.0))
    tensor([1., 1.])
    """
    return q.code if isinstance(q, Described) else q.mean


class VAE(nn.Module):
    r"""A variational autoencoder, composed of five parts, and of a sixth where labels are learned.

    Parameters
    ----------
    encoder
        Any ``nn.Module`` from data ``(batch, *event)`` to features ``(batch, *posterior.feature_shape)``.
    posterior
        From those features to :math:`q(z \mid x)`; see :mod:`vaekit.posteriors`.
    prior
        From nothing to :math:`p(z)`; see :mod:`vaekit.priors`.
    decoder
        Any ``nn.Module`` from latents ``(batch, *latent)`` to features
        ``(batch, *likelihood.feature_shape)``. It sees one batch dimension, whatever comes in.
    likelihood
        From those features to :math:`p(x \mid z)`; see :mod:`vaekit.likelihoods`.
    classifier
        Any ``nn.Module`` from data to one number a category, the logits of :math:`q(y \mid x)`; None: there is none.

    Examples
    --------
    >>> from vaekit.likelihoods import BernoulliLikelihood
    >>> from vaekit.posteriors import DiagonalPosterior
    >>> from vaekit.priors import StandardPrior
    >>> model = VAE(nn.Linear(6, 4), DiagonalPosterior(2), StandardPrior((2,)), nn.Linear(2, 6),
    ...             BernoulliLikelihood((6,)))
    >>> x = torch.rand(3, 6)
    >>> model.encode(x).mean.shape, model.prior().event_shape, model.decode(torch.zeros(3, 2)).mean.shape
    (torch.Size([3, 2]), torch.Size([2]), torch.Size([3, 6]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        posterior: nn.Module,
        prior: nn.Module,
        decoder: nn.Module,
        likelihood: nn.Module,
        classifier: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_part("posterior", posterior)
        check_part("prior", prior)
        check_part("likelihood", likelihood)
        # `prior` is also the name of a method, which a submodule attribute would hide: the five live in a dict.
        self.parts = nn.ModuleDict(
            {
                "encoder": encoder,
                "posterior": posterior,
                "prior": prior,
                "decoder": decoder,
                "likelihood": likelihood,
            }
        )
        if classifier is not None:
            self.parts["classifier"] = classifier

    @property
    def encoder(self) -> nn.Module:
        """The encoder's network."""
        return self.parts["encoder"]

    @property
    def decoder(self) -> nn.Module:
        """The decoder's network."""
        return self.parts["decoder"]

    @property
    def classifier(self) -> nn.Module | None:
        """The classifier's network, where labels are learned."""
        return dict(self.parts.items()).get("classifier")

    @property
    def posterior_part(self) -> Posterior:
        """The part that makes the posterior of the encoder's features."""
        return cast(Posterior, self.parts["posterior"])

    @property
    def prior_part(self) -> Prior:
        """The part that makes the prior."""
        return cast(Prior, self.parts["prior"])

    @property
    def likelihood_part(self) -> Likelihood:
        """The part that makes the likelihood of the decoder's features."""
        return cast(Likelihood, self.parts["likelihood"])

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one :math:`z`."""
        return self.posterior_part.latent_shape

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one :math:`x`, in the coordinates of the model."""
        return self.likelihood_part.event_shape

    @property
    def has_density(self) -> bool:
        """Whether the posterior has a density; a point mass, say, has none."""
        return self.posterior_part.traits.has_density

    @property
    def has_log_likelihood(self) -> bool:
        r"""Whether there is a :math:`\log p(x)`: a pseudo-likelihood scores for training alone, and has none."""
        return self.likelihood_part.traits.measure != "none"

    def encode(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        r"""Give the posterior :math:`q(z \mid x)` for ``x`` of shape ``(batch, *event)``."""
        features = self._network("encoder", x, c)
        expected = self.posterior_part.feature_shape
        if features.shape[1:] != expected:
            raise ValueError(
                f"the encoder gave features of shape {tuple(features.shape[1:])} per example, but the posterior "
                f"{type(self.parts['posterior']).__name__} takes {expected}; change the encoder's last layer"
            )
        return self._part("posterior", c, features, x=x)

    def classify(self, x: Tensor) -> Categorical:
        r"""Give the classifier :math:`q(y \mid x)` for ``x`` of shape ``(batch, *event)``."""
        return Categorical(logits=self._network("classifier", x, None), validate_args=False)

    def prior(self, c: Tensor | None = None) -> Distribution:
        """Give the prior :math:`p(z)`."""
        return self._part("prior", c)

    def decode(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        r"""Give the likelihood :math:`p(x \mid z)` for ``z`` of shape ``(..., *latent)``."""
        return self.likelihood(self.decoder_features(z, c), c)

    def decoder_features(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Give what the decoder says of ``z`` of shape ``(..., *latent)``: features of the likelihood."""
        batch_shape = z.shape[: z.dim() - len(self.latent_shape)]
        flat = z if len(batch_shape) == 1 else z.reshape(-1, *self.latent_shape)
        if c is not None and len(batch_shape) > 1:
            c = c.expand(*batch_shape, *c.shape[1:]).reshape(-1, *c.shape[1:])
        features = self._network("decoder", flat, c)
        expected = self.likelihood_part.feature_shape
        if features.shape[1:] != expected:
            raise ValueError(
                f"the decoder gave features of shape {tuple(features.shape[1:])} per example, but the likelihood "
                f"{type(self.parts['likelihood']).__name__} takes {expected}; change the decoder's last layer"
            )
        return features if len(batch_shape) == 1 else features.reshape(*batch_shape, *features.shape[1:])

    def likelihood(self, features: Tensor, c: Tensor | None = None) -> Distribution:
        r"""Give the likelihood :math:`p(x \mid z)` of the decoder's features ``(..., *feature_shape)``."""
        return self._part("likelihood", c, features)

    def log_joint(self, x: Tensor, z: Tensor, c: Tensor | None = None) -> Tensor:
        r"""Evaluate :math:`\log p(x \mid z) + \log p(z)` in nats, for ``z`` of shape ``(..., *latent)``."""
        return self.decode(z, c).log_prob(x) + self.prior(c).log_prob(z)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, *, noise: bool = True) -> Tensor:
        r"""Draw ``n`` new examples: :math:`z \sim p(z)`, then :math:`x \sim p(x \mid z)`, or its mean without noise."""
        prior = self.prior(c)
        z = prior.sample(torch.Size((n,) if not prior.batch_shape else ()))
        likelihood = self.decode(z, c)
        return likelihood.sample() if noise else likelihood.mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Tensor | None = None, *, sample: bool = False) -> Tensor:
        r"""Encode and decode: the mean of :math:`p(x \mid z)` at the posterior's code, or at a draw from it."""
        posterior = self.encode(x, c)
        return self.decode(posterior.sample() if sample else code_of(posterior), c).mean

    def _network(self, name: str, value: Tensor, c: Tensor | None) -> Tensor:
        return self.parts[name](value) if c is None else self.parts[name](value, c)

    def _part(self, name: str, c: Tensor | None, *arguments: Tensor, x: Tensor | None = None) -> Distribution:
        """Call a part with what its traits say it needs."""
        part = cast(Posterior | Prior | Likelihood, self.parts[name])
        if not part.traits.needs:
            return self.parts[name](*arguments)
        offers: dict[Need, Any] = {
            "encode": self.encode,
            "condition": c,
            "log_joint": self.log_joint,
            "x": x,
            # The draws of a prior over codes are written as the posterior's codes are.
            "codebook": self.posterior_part.codebook,
        }
        return self.parts[name](*arguments, **{need: offers[need] for need in part.traits.needs})

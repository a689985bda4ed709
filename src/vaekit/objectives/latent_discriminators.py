r"""Objectives with a discriminator of latents: the adversarial autoencoder, and FactorVAE.

.. math::

    \text{adversarial} &: \mathbb E_{q(z \mid x)} \log p(x \mid z) + \lambda \, \mathbb E_{q(z \mid x)} \log D(z) \\
    \text{factor}      &: \mathbb E_q \log p(x \mid z) - \mathrm{KL}(q(z \mid x) \,\|\, p(z))
                          - \gamma \, \mathrm{KL}\Bigl(q(z) \,\Big\|\, \prod_j q(z_j)\Bigr)

**Adversarial.** Makhzani et al. (2015), "Adversarial Autoencoders", section 2, as one objective, which is
that of the Wasserstein autoencoder with an adversarial penalty (Tolstikhin et al., 2018, "Wasserstein
Auto-Encoders", algorithm 1, with :math:`\lambda = 10`). :math:`D(z)` is the discriminator's probability that
:math:`z` was drawn from the prior, not from the aggregate posterior :math:`q(z)`. It is trained on equally
many draws of each,

.. math:: \max_D \; \mathbb E_{p(z)} \log D(z) + \mathbb E_{q(z)} \log (1 - D(z)),

and the encoder uses the form of the game that does not saturate. A prior with parameters learns :math:`q(z)`
by maximum likelihood.

**FactorVAE.** Kim and Mnih (2018), "Disentangling by Factorising", equation 2. A discriminator learns to
distinguish draws of the aggregate posterior :math:`q(z)` from draws of the product of its marginals, which
are made from the former by permuting each dimension across the batch. With :math:`D(z)` its probability of
:math:`q(z)`, its logit estimates the density ratio (equation 3):

.. math:: \mathrm{KL}\Bigl(q(z) \,\Big\|\, \prod_j q(z_j)\Bigr)
          \approx \mathbb E_{q(z)} \log \frac{D(z)}{1 - D(z)}
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from vaekit.contracts import ObjectiveResult, ObjectiveTraits
from vaekit.errors import UsageError
from vaekit.language.schedules import Schedule, check_scalar
from vaekit.networks.mlp import MultilayerPerceptron
from vaekit.objectives.building_blocks import prior_fit, probe_posterior, subtract_auxiliary_loss
from vaekit.objectives.divergence import divergence
from vaekit.objectives.opposed import Opposed, check_layers
from vaekit.vae import VAE

__all__ = ["Adversarial", "FactorizedPosterior", "draws", "permute_dimensions"]


class Adversarial(Opposed):
    r"""``adversarial``: reconstruction, and a discriminator between :math:`q(z)` and the prior.

    The reported bound is the plain ELBO. With a posterior without a density (``point``) it is the objective
    itself, with the discriminator as it is. With a condition, the mixtures over conditions are compared.

    Parameters
    ----------
    weight
        :math:`\lambda`, in nats.
    hidden
        Sizes of the discriminator's hidden layers (the paper has two of 1000).

    Raises
    ------
    UsageError
        If the weight is negative or not finite, or a hidden layer has no unit; when a model is checked, if its
        posterior is not reparameterised.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> sentence = Sentence.parse(network="mlp:hidden=none", posterior="point", objective="adversarial")
    >>> model = build_vae(sentence, (3,), latent=2)
    >>> objective = Adversarial()
    >>> objective.build_opponent(model)
    >>> objective(model, torch.ones(4, 3)).surrogate.shape
    torch.Size([4])
    """

    kind = "adversarial"
    traits = ObjectiveTraits(needs_density=False)
    weight: float

    def __init__(self, *, weight: float | Schedule = 10.0, hidden: tuple[int, ...] = (256, 256)) -> None:
        check_scalar("adversarial", "weight", weight, meaning="0 leaves the reconstruction alone")
        super().__init__(weight=weight)
        self.hidden = check_layers("adversarial", hidden)

    def check(self, model: VAE) -> None:
        """Refuse a posterior whose draws pass no gradient on."""
        q = probe_posterior(model)
        if q is not None and not q.has_rsample:
            raise UsageError(
                f"adversarial: no gradient flows through draws of a {type(q).__name__}, so the encoder could not learn "
                "to fool the discriminator; use a reparameterised posterior, such as point or diagonal"
            )

    def new_opponent(self, model: VAE) -> nn.Module:
        """Return a new discriminator, from latents to one logit."""
        return MultilayerPerceptron(model.latent_shape, (1,), hidden=self.hidden, activation="leaky-relu")

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q, p = model.encode(x, c), model.prior(c)
        z = q.rsample()
        reconstruction = model.decode(z, c).log_prob(x)
        detected = softplus(-self.judge(z).squeeze(-1))  # -log D(z)
        surrogate = reconstruction - self.weight * detected + prior_fit(p, z)
        surrogate = subtract_auxiliary_loss(surrogate, q, p)
        if not model.has_density:
            weight = self.schedules["weight"].end if "weight" in self.schedules else self.weight
            return ObjectiveResult.without_density(
                reconstruction - weight * detected, surrogate, reconstruction
            )
        kl, per_dimension = divergence(q, p, z)
        return ObjectiveResult(reconstruction - kl, surrogate, reconstruction, kl, per_dimension)

    def opponent_loss(self, model: VAE, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return the discriminator's cross entropy, ``(batch,)``, of draws of the prior and the posterior."""
        with torch.no_grad():
            drawn, encoded = draws(model.prior(c), len(x)), model.encode(x, c).sample()
        discriminator = self.player()
        return 0.5 * (softplus(-discriminator(drawn)) + softplus(discriminator(encoded))).squeeze(-1)


def draws(p: Distribution, n: int) -> Tensor:
    """Draw ``n`` latents from a prior of batch shape ``()`` or ``(n,)``."""
    return p.sample(torch.Size(() if p.batch_shape else (n,)))


class FactorizedPosterior(Opposed):
    r"""``factor``: the ELBO and a discriminator's estimate of the total correlation.

    The reported bound is the plain ELBO.

    Parameters
    ----------
    gamma
        :math:`\gamma`, the weight of the total correlation, in addition to its share in the KL.
    hidden
        Sizes of the discriminator's hidden layers (the paper has five of 1000).

    Raises
    ------
    UsageError
        If ``gamma`` is negative or not finite, or a hidden layer has no unit; when a model is checked, if its
        latents are not vectors in flat space.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)
    >>> objective = FactorizedPosterior(gamma=10.0)
    >>> objective.build_opponent(model)
    >>> objective(model, torch.ones(4, 3)).surrogate.shape, objective.opponent_loss(model, torch.ones(4, 3)).shape
    (torch.Size([4]), torch.Size([4]))
    """

    kind = "factor"
    traits = ObjectiveTraits(looks_over_batch=True)
    gamma: float

    def __init__(self, *, gamma: float | Schedule = 6.0, hidden: tuple[int, ...] = (256, 256, 256)) -> None:
        check_scalar("factor", "gamma", gamma, meaning="0 is the evidence lower bound")
        super().__init__(gamma=gamma)
        self.hidden = check_layers("factor", hidden)

    def check(self, model: VAE) -> None:
        """Refuse latents whose dimensions cannot be permuted separately."""
        space = model.posterior_part.traits.space
        if space != "euclidean" or len(model.latent_shape) != 1:
            raise UsageError(
                f"factor: latents of shape {model.latent_shape} on the space {space!r} have no dimensions that can "
                "be independent; use a posterior with vectors in flat space, such as diagonal"
            )

    def new_opponent(self, model: VAE) -> nn.Module:
        """Return a new discriminator, from latents to one logit."""
        return MultilayerPerceptron(model.latent_shape, (1,), hidden=self.hidden, activation="leaky-relu")

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q, p = model.encode(x, c), model.prior(c)
        z = q.rsample()
        reconstruction = model.decode(z, c).log_prob(x)
        kl, per_dimension = divergence(q, p, z)
        bound = reconstruction - kl
        surrogate = bound - self.gamma * self.judge(z).squeeze(-1)
        return ObjectiveResult(
            bound, subtract_auxiliary_loss(surrogate, q, p), reconstruction, kl, per_dimension
        )

    def opponent_loss(self, model: VAE, x: Tensor, c: Tensor | None = None) -> Tensor:
        r"""Return the discriminator's cross entropy, ``(batch,)``, of draws of :math:`q(z)` and permuted ones."""
        with torch.no_grad():
            z = model.encode(x, c).sample()
        discriminator = self.player()
        joint, permuted = discriminator(z), discriminator(permute_dimensions(z))
        return 0.5 * (softplus(-joint) + softplus(permuted)).squeeze(-1)


def permute_dimensions(z: Tensor) -> Tensor:
    r"""Permute each dimension of ``z``, ``(batch, latent)``, across the batch: algorithm 1 of the paper.

    Examples
    --------
    >>> z = torch.arange(6.0).reshape(3, 2)
    >>> permute_dimensions(z).sort(0).values
    tensor([[0., 1.],
            [2., 3.],
            [4., 5.]])
    """
    order = torch.rand(z.shape, device=z.device).argsort(0)
    return z.gather(0, order)

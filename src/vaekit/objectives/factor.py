r"""The ELBO with a penalty on total correlation that a discriminator measures (FactorVAE).

.. math:: \mathbb E_q \log p(x \mid z) - \mathrm{KL}(q(z \mid x) \,\|\, p(z))
          - \gamma \, \mathrm{KL}\Bigl(q(z) \,\Big\|\, \prod_j q(z_j)\Bigr)

Kim and Mnih (2018), "Disentangling by Factorising", equation 2. A discriminator :math:`D` learns to tell draws of
the aggregate posterior :math:`q(z)` from draws of the product of its marginals, which are made of the former by
permuting each dimension across the batch; with :math:`D(z)` its probability of :math:`q(z)`, its logit estimates the
density ratio (equation 3):

.. math:: \mathrm{KL}\Bigl(q(z) \,\Big\|\, \prod_j q(z_j)\Bigr)
          \approx \mathbb E_{q(z)} \log \frac{D(z)}{1 - D(z)}
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vaekit.contracts import ObjectiveResult, ObjectiveTraits
from vaekit.errors import UsageError
from vaekit.language.schedules import Schedule, check_scalar
from vaekit.networks.mlp import MultilayerPerceptron
from vaekit.objectives.auxiliary import subtract_auxiliary_loss
from vaekit.objectives.kl import divergence
from vaekit.objectives.opposed import Opposed, check_layers
from vaekit.vae import VAE

__all__ = ["FactorizedPosterior", "permute_dimensions"]


class FactorizedPosterior(Opposed):
    r"""``factor``: the ELBO and a discriminator's estimate of the total correlation.

    The bound that is reported is the plain ELBO.

    Parameters
    ----------
    gamma
        :math:`\gamma`, the weight of the total correlation, on top of its share in the KL.
    hidden
        Sizes of the discriminator's hidden layers (the paper has five of 1000).

    Raises
    ------
    UsageError
        If ``gamma`` is negative or not finite, a hidden layer has no unit; when a model is checked, if its latents
        are no vectors in flat space.

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
        """Refuse latents whose dimensions cannot be permuted one by one."""
        space = model.posterior_part.traits.space
        if space != "euclidean" or len(model.latent_shape) != 1:
            raise UsageError(
                f"factor: latents of shape {model.latent_shape} on the space {space!r} have no dimensions that can "
                "be independent; use a posterior with vectors in flat space, such as diagonal"
            )

    def new_opponent(self, model: VAE) -> nn.Module:
        """Make the discriminator: from latents to one logit."""
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
        r"""Cross entropy of the discriminator, ``(batch,)``: a draw of :math:`q(z)` and a permuted one each."""
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

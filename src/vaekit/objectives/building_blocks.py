"""The building blocks of objectives: reconstructions, checks of a posterior, and terms of a surrogate.

A draw of codes has no derivative, and a posterior over them (:class:`vaekit.distributions.CategoricalCodes`,
:class:`vaekit.distributions.PointCodes`) gives its draws the gradient of something near by. That gradient
belongs to the surrogate; the bound is always evaluated at the discrete draw.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.contracts import traits_of
from vaekit.distributions import CategoricalCodes
from vaekit.errors import UsageError
from vaekit.vae import VAE

__all__ = ["prior_fit", "probe_posterior", "reconstruct", "refuse_discrete", "subtract_auxiliary_loss"]


def reconstruct(model: VAE, q: Distribution, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    r"""Draw one latent per example, and evaluate :math:`\log p(x \mid z)`.

    Parameters
    ----------
    model, x, c
        As for an objective.
    q
        The posterior.

    Returns
    -------
    tuple of Tensor
        :math:`z`, ``(batch, *latent)``; the reconstruction ``(batch,)`` for the bound; and the reconstruction
        for the surrogate. The last two are one object, unless the posterior is ``relaxed``: then the bound
        uses the discrete draw, and the surrogate its relaxation.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> sentence = Sentence.parse(network="mlp:hidden=none", posterior="categorical:straight_through=false")
    >>> model, x = build_vae(sentence, (3,), latent=2), torch.ones(4, 3)
    >>> z, for_bound, for_surrogate = reconstruct(model, model.encode(x), x, None)
    >>> z.unique(), bool((for_bound != for_surrogate).all())
    (tensor([0., 1.], grad_fn=...), True)
    """
    if not (isinstance(q, CategoricalCodes) and q.traits.relaxed):
        z = q.rsample()
        value = model.decode(z, c).log_prob(x)
        return z, value, value
    z, relaxation = q.draw_pair()
    with torch.no_grad():
        value = model.decode(z, c).log_prob(x)
    return z, value, model.decode(relaxation, c).log_prob(x)


def refuse_discrete(kind: str, q: Distribution | None, *, reason: str, instead: str) -> None:
    """Refuse a posterior over codes for an objective that differentiates a density along its draws.

    Raises
    ------
    UsageError
        If ``q`` is discrete.
    """
    if q is not None and traits_of(q).discrete:
        raise UsageError(
            f"{kind}: {reason}, and the posterior's latents are codes, with probability masses and draws that have no "
            f"derivative; use {instead}"
        )


@torch.no_grad()
def probe_posterior(model: VAE) -> Distribution | None:
    """Return the posterior of features that are all zero, of batch shape ``(1,)``, to check it before training.

    None where the posterior needs more than features and its ``probe(features)`` returns None: then an error
    comes at the first step.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> type(probe_posterior(build_vae(Sentence.parse(posterior="full"), (3,), latent=2))).__name__
    'FullNormal'
    """
    posterior = model.posterior_part
    like = next(model.parameters(), torch.zeros(()))
    features = like.new_zeros(1, *posterior.feature_shape)
    return posterior.probe(features) if posterior.traits.needs else posterior(features)


def subtract_auxiliary_loss(surrogate: Tensor, *distributions: Distribution) -> Tensor:
    """Subtract the auxiliary losses of distributions from a surrogate.

    A posterior or prior may set ``auxiliary_loss``, ``(batch,)`` or a scalar in nats, on the distribution it
    returns, of any type. It is minimised together with the objective: every objective passes its surrogate
    through this function, and never its bound.

    Parameters
    ----------
    surrogate
        ``(batch,)``.
    distributions
        The distributions that the objective used; most have no auxiliary loss.

    Returns
    -------
    Tensor
        ``(batch,)``; the same object where there is nothing to subtract.

    Examples
    --------
    >>> import torch
    >>> q = torch.distributions.Normal(torch.zeros(2), 1.0)
    >>> q.auxiliary_loss = torch.tensor([0.5, 2.0])
    >>> subtract_auxiliary_loss(torch.zeros(2), q)
    tensor([-0.5000, -2.0000])
    """
    for distribution in distributions:
        loss = vars(distribution).get("auxiliary_loss")
        if loss is not None:
            surrogate = surrogate - loss
    return surrogate


def prior_fit(p: Distribution, z: Tensor) -> Tensor:
    r"""Return zeros with the gradient of :math:`\log p(z)` with respect to the prior's parameters, not to ``z``.

    With it a prior learns by maximum likelihood of the draws, where an objective has no KL. It is the same as
    the gradient of the evidence lower bound with respect to the prior,
    :math:`\mathbb E_{q(z)} \nabla \log p(z)`.

    Parameters
    ----------
    p
        The prior.
    z
        ``(batch, *latent)``.

    Returns
    -------
    Tensor
        ``(batch,)``, to add to a surrogate.

    Examples
    --------
    >>> import torch
    >>> mean, z = torch.zeros(1, requires_grad=True), torch.tensor([2.0], requires_grad=True)
    >>> prior_fit(torch.distributions.Normal(mean, 1.0), z).sum().backward()
    >>> mean.grad, z.grad
    (tensor([2.]), None)
    """
    log_density = p.log_prob(z.detach())
    return log_density - log_density.detach()

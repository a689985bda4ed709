"""A look at the posterior before training: what an objective needs of it is refused early where it lacks."""

import torch
from torch.distributions import Distribution

from vaekit.vae import VAE

__all__ = ["probe_posterior"]


@torch.no_grad()
def probe_posterior(model: VAE) -> Distribution | None:
    """Give the posterior of features that are all zero, of batch shape ``(1,)``.

    None where the posterior needs more than features, and offers no ``probe(features)`` that does without: then what
    it lacks is said at the first step.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> type(probe_posterior(build_vae(Sentence.parse(posterior="full"), (3,), latent=2))).__name__
    'MultivariateNormal'
    """
    posterior = model.posterior_part
    like = next(model.parameters(), torch.zeros(()))
    features = like.new_zeros(1, *posterior.feature_shape)
    return posterior.probe(features) if posterior.traits.needs else posterior(features)

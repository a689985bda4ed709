r"""What importance samples are drawn from: the posterior, or a Gaussian fitted where the posterior has no density.

A model with a deterministic encoder has :math:`p(x) = \int p(x \mid z)\, p(z)\, dz` as any other, but its point mass
cannot propose draws. Around each code a diagonal Gaussian is fitted at evaluation by maximising its own bound,

.. math:: \max_{\mu, \sigma} \; \mathbb E_{z \sim \mathcal N(\mu, \sigma^2)}
          \left[\log p(x \mid z) + \log p(z)\right] + \sum_j \log \sigma_j,

by stochastic gradients of antithetic draws (the local variational inference of Cremer, Li and Duvenaud, 2018,
"Inference Suboptimality in Variational Autoencoders", section 3.1). Every importance-sampling estimate is a lower
bound in expectation whatever the proposal: fitting badly only makes it looser, and the effective sample size tells.
"""

from math import cos, pi

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Model, traits_of
from vaekit.vae import code_of

__all__ = ["fit_proposal", "proposal"]

_STEPS, _PAIRS = 100, 2
_RATE_OF_MEAN, _RATE_OF_LOG_SCALE, _FIRST_SCALE = 0.05, 0.2, 0.1


def proposal(model: Model, x: Tensor, c: Tensor | None = None) -> Distribution:
    r"""Give what to draw importance samples from: :math:`q(z \mid x)` where it has a density.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> parts = {"network": "mlp:hidden=none", "posterior": "point", "objective": "mmd"}
    >>> model = build_vae(Sentence.parse(**parts), (3,), latent=2)
    >>> type(proposal(model, torch.ones(4, 3)).base_dist).__name__
    'Normal'
    """
    q = model.encode(x, c)
    return q if traits_of(q).has_density else fit_proposal(model, x, code_of(q), c)


def fit_proposal(model: Model, x: Tensor, code: Tensor, c: Tensor | None = None) -> Distribution:
    r"""Fit a diagonal Gaussian around each code to :math:`p(z \mid x)`; the same noise for every example.

    Parameters
    ----------
    model, x, c
        As for an objective. No parameter of the model gets a gradient.
    code
        ``(n, *latent)``, where the means start.

    Returns
    -------
    Distribution
        Of batch shape ``(n,)``.
    """
    mean = code.detach().clone().requires_grad_()
    log_scale = torch.full_like(code, _FIRST_SCALE).log_().requires_grad_()
    p = model.prior(c)
    optimizer = torch.optim.Adam(
        [
            {"params": [mean], "lr": _RATE_OF_MEAN},
            {"params": [log_scale], "lr": _RATE_OF_LOG_SCALE},
        ]
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    with torch.enable_grad():
        for step in range(_STEPS):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * 0.5 * (1 + cos(pi * step / _STEPS))
            half = torch.randn(_PAIRS, 1, *code.shape[1:], dtype=code.dtype, device=code.device)
            z = mean + log_scale.exp() * torch.cat([half, -half])
            log_joint = model.decode(z, c).log_prob(x) + p.log_prob(z)
            bound = log_joint.mean(0).sum() + log_scale.sum()
            mean.grad, log_scale.grad = (-g for g in torch.autograd.grad(bound, [mean, log_scale]))
            optimizer.step()
    normal = Normal(mean.detach(), log_scale.detach().exp(), validate_args=False)
    return Independent(normal, code.dim() - 1, validate_args=False)

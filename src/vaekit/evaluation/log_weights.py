r"""Proposals of importance samples, and the logarithms of their weights.

.. math:: \log w_k = \log p(x \mid z_k) + \log p(z_k) - \log q(z_k \mid x)

Draws come from the posterior; where it has no density, from a Gaussian fitted at evaluation. A model with a
deterministic encoder has :math:`p(x) = \int p(x \mid z)\, p(z)\, dz` as any other, but its point mass cannot propose
draws. Around each code a diagonal Gaussian is fitted by maximising its own bound,

.. math:: \max_{\mu, \sigma} \; \mathbb E_{z \sim \mathcal N(\mu, \sigma^2)}
          \left[\log p(x \mid z) + \log p(z)\right] + \sum_j \log \sigma_j,

by stochastic gradients of antithetic draws (the local variational inference of Cremer, Li and Duvenaud, 2018,
"Inference Suboptimality in Variational Autoencoders", section 3.1). Every importance-sampling estimate is a lower
bound in expectation whatever the proposal: a bad fit only makes it looser, and the effective sample size tells.

Beside the decoder's products, log-weights are loops over memory: compiled into one graph they take a third of the time
or less. Compiling takes some seconds, so it is done where an evaluation is long.
"""

import warnings
from collections.abc import Callable
from math import cos, pi, prod
from types import FunctionType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Model, traits_of
from vaekit.runtime.compiler import compile_graph, has_compiler
from vaekit.runtime.fused_adam import FusedAdam
from vaekit.vae import VAE, code_of

__all__ = [
    "CompiledLogWeights",
    "LogWeights",
    "choose_log_weights",
    "log_weights_of",
    "proposal",
    "repays_compilation",
]

LogWeights = Callable[[Distribution, Distribution, Tensor, Tensor | None, torch.Size], tuple[Tensor, Tensor]]
"""From a proposal, the prior, ``x``, its condition and a shape of samples: log-weights, and estimates of the KL."""

_WORTH_SAVING = 30.0  # seconds: twice to three times what compiling takes
_SAVED = 1e-9  # seconds per number that a sample makes of a latent
_STEPS, _PAIRS = 100, 2
_RATE_OF_MEAN, _RATE_OF_LOG_SCALE, _FIRST_SCALE = 0.05, 0.2, 0.1


def proposal(model: Model, x: Tensor, c: Tensor | None = None) -> Distribution:
    r"""Return the distribution to draw importance samples from: :math:`q(z \mid x)` where it has a density.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> parts = {"network": "mlp:hidden=none", "posterior": "point", "objective": "mmd"}
    >>> model = build_vae(Sentence.parse(**parts), (3,), latent=2)
    >>> type(proposal(model, torch.ones(4, 3)).base_dist).__name__
    'Normal'
    """
    q = model.encode(x, c)
    return q if traits_of(q).has_density else _fit_proposal(model, x, code_of(q), c)


def _fit_proposal(model: Model, x: Tensor, code: Tensor, c: Tensor | None = None) -> Distribution:
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
    optimizer = FusedAdam(
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


def log_weights_of(model: Model) -> LogWeights:
    """Return a function that draws from a proposal and weighs the draws, not compiled."""

    def log_weights(
        q: Distribution, p: Distribution, x: Tensor, c: Tensor | None, shape: torch.Size
    ) -> tuple[Tensor, Tensor]:
        z = _draw(q, shape)
        kl = q.log_prob(z) - p.log_prob(z)
        return model.decode(z, c).log_prob(x) - kl, kl

    return log_weights


def _draw(q: Distribution, shape: torch.Size) -> Tensor:
    """Draw from a proposal; ``Normal.sample`` is slower, as it checks the scale of every draw."""
    base = q.base_dist if isinstance(q, Independent) else q
    return q.rsample(shape).detach() if isinstance(base, Normal) else q.sample(shape)


def repays_compilation(model: Model, rows: int) -> bool:
    """Return whether so many importance samples in all are worth compiling for, by a careful estimate.

    For convolutions they never are: nearly all their time goes into products, which compiling does not change.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=200x200"), (784,), latent=50)
    >>> [repays_compilation(model, images * 5000) for images in (100, 10_000)]
    [False, True]
    """
    if not isinstance(model, VAE) or next(model.parameters()).device.type != "cpu":
        return False
    modules = list(model.decoder.modules())
    if any(isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in modules):
        return False
    made = sum(module.out_features for module in modules if isinstance(module, nn.Linear))
    return rows * (made + prod(model.likelihood_part.feature_shape)) * _SAVED > _WORTH_SAVING


class CompiledLogWeights:
    """Log-weights compiled for samples and examples of one shape; other shapes, and failures, run uncompiled.

    Parameters
    ----------
    model
        In evaluation mode.
    shape
        The numbers of samples and of examples at once.
    backend
        The backend of torch's compiler.
    """

    def __init__(
        self, model: Model, shape: tuple[int, int], *, backend: str | Callable[..., Any] = "inductor"
    ) -> None:
        self.plain, self._shape = log_weights_of(model), shape
        self._compiled: Callable[..., Any] | None = compile_graph(
            cast(FunctionType, log_weights_of(model)), backend
        )

    def __call__(
        self, q: Distribution, p: Distribution, x: Tensor, c: Tensor | None, shape: torch.Size
    ) -> tuple[Tensor, Tensor]:
        """Draw from the proposal, and weigh the draws."""
        if self._compiled is None or (*shape, len(x)) != self._shape:
            return self.plain(q, p, x, c, shape)
        state = torch.get_rng_state()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler's warnings about torch's own code
                return self._compiled(q, p, x, c, shape)
        except Exception:  # a compiler may raise anything; an error of the model is raised again below
            self._compiled = None
            torch.set_rng_state(state)
            return self.plain(q, p, x, c, shape)


def choose_log_weights(model: Model, rows: int, shape: tuple[int, int]) -> LogWeights:
    """Return compiled log-weights where compiling pays and a compiler is there, else plain ones."""
    if repays_compilation(model, rows) and has_compiler():
        return CompiledLogWeights(model, shape)
    return log_weights_of(model)

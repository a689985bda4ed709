r"""Logarithms of importance weights, :math:`\log w_k = \log p(x \mid z_k) + \log p(z_k) - \log q(z_k \mid x)`.

What is left of them beside the decoder's products are loops over memory: compiled into one graph they take a third of
the time or less. Making the graph takes some seconds, so that it is made where an evaluation is long.
"""

import warnings
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Model
from vaekit.runtime.compiler import compile_graph, has_compiler
from vaekit.vae import VAE

__all__ = ["CompiledLogWeights", "LogWeights", "choose_log_weights", "log_weights_of", "repays_compilation"]

LogWeights = Callable[[Distribution, Distribution, Tensor, Tensor | None, torch.Size], tuple[Tensor, Tensor]]
"""From a proposal, the prior, ``x``, its condition and a shape of samples: log-weights, and estimates of the KL."""

_WORTH_SAVING = 30.0  # seconds: twice to three times what compiling takes
_SAVED = 1e-9  # seconds per number that a sample makes of a latent


def log_weights_of(model: Model) -> LogWeights:
    """Give the log-weights of a model, as they are."""

    def log_weights(
        q: Distribution, p: Distribution, x: Tensor, c: Tensor | None, shape: torch.Size
    ) -> tuple[Tensor, Tensor]:
        z = _draw(q, shape)
        kl = q.log_prob(z) - p.log_prob(z)
        return model.decode(z, c).log_prob(x) - kl, kl

    return log_weights


def _draw(q: Distribution, shape: torch.Size) -> Tensor:
    """Draw from a proposal; ``Normal.sample`` would look at the scale of every draw for one below zero."""
    base = q.base_dist if isinstance(q, Independent) else q
    return q.rsample(shape).detach() if isinstance(base, Normal) else q.sample(shape)


def repays_compilation(model: Model, rows: int) -> bool:
    """Whether so many importance samples in all are worth compiling for, by an estimate on the careful side.

    Convolutions, whose time is nearly all in products that stay what they are, are not.

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
    """Log-weights compiled for samples and examples of one shape; others, and whatever fails, go as they are.

    Parameters
    ----------
    model
        In evaluation mode.
    shape
        Samples and examples at once.
    backend
        Of torch's compiler.
    """

    def __init__(
        self, model: Model, shape: tuple[int, int], *, backend: str | Callable[..., Any] = "inductor"
    ) -> None:
        self.plain, self._shape = log_weights_of(model), shape
        self._compiled: Callable[..., Any] | None = compile_graph(log_weights_of(model), backend)  # type: ignore[arg-type]

    def __call__(
        self, q: Distribution, p: Distribution, x: Tensor, c: Tensor | None, shape: torch.Size
    ) -> tuple[Tensor, Tensor]:
        """Draw, and weigh."""
        if self._compiled is None or (*shape, len(x)) != self._shape:
            return self.plain(q, p, x, c, shape)
        state = torch.get_rng_state()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler's, of what it finds in torch
                return self._compiled(q, p, x, c, shape)
        except Exception:  # whatever a compiler may raise; an error of the model's comes again
            self._compiled = None
            torch.set_rng_state(state)
            return self.plain(q, p, x, c, shape)


def choose_log_weights(model: Model, rows: int, shape: tuple[int, int]) -> LogWeights:
    """Compile where it pays and can be done."""
    if repays_compilation(model, rows) and has_compiler():
        return CompiledLogWeights(model, shape)
    return log_weights_of(model)

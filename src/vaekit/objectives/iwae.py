r"""The importance-weighted bound.

.. math:: \mathcal L_K(x) = \mathbb E \log \frac 1 K \sum_{k=1}^K w_k \le \log p(x),

non-decreasing in :math:`K` (Burda, Grosse and Salakhutdinov, 2015, "Importance Weighted Autoencoders", equation 8
and theorem 1). With normalised weights :math:`\tilde w_k`, three gradients for the encoder; the decoder's and the
prior's is the first in every case:

.. math::

    \text{standard} &: \textstyle\sum_k \tilde w_k \, \nabla_\phi \log w_k \\
    \text{stl}      &: \textstyle\sum_k \tilde w_k \, \partial_z \log w_k \, \nabla_\phi z_k \\
    \text{dreg}     &: \textstyle\sum_k \tilde w_k^2 \, \partial_z \log w_k \, \nabla_\phi z_k

``stl`` leaves out the score function, whose expectation is zero for :math:`K = 1` (Roeder, Wu and Duvenaud, 2017,
"Sticking the Landing", equation 7); for more samples it is biased. ``dreg`` is right for every :math:`K`, and its
signal-to-noise ratio grows with it (Tucker et al., 2018, "Doubly Reparameterized Gradient Estimators for Monte
Carlo Objectives", equation 7).
"""

from typing import Literal

from torch import Tensor

from vaekit.contracts import Objective, ObjectiveResult
from vaekit.errors import UsageError
from vaekit.language.schedules import check_count
from vaekit.objectives.discrete import refuse_discrete
from vaekit.objectives.importance import draw, log_mean_exp, with_gradient_of
from vaekit.objectives.probing import probe_posterior
from vaekit.objectives.stopped import stop_gradient
from vaekit.vae import VAE

__all__ = ["ImportanceWeighted"]


class ImportanceWeighted(Objective):
    r"""``iwae``: the logarithm of a mean of importance weights.

    Parameters
    ----------
    samples
        :math:`K`, importance samples an example.
    gradient
        ``standard``, ``dreg`` or ``stl``. All have the same bound.

    Raises
    ------
    UsageError
        If ``samples`` is below 1, or the gradient is not known.

    Examples
    --------
    >>> import torch
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)
    >>> ImportanceWeighted(samples=50)(model, torch.ones(4, 3)).bound.shape
    torch.Size([4])
    """

    def __init__(
        self, *, samples: int = 50, gradient: Literal["standard", "dreg", "stl"] = "standard"
    ) -> None:
        check_count("iwae", "samples", samples)
        if gradient not in ("standard", "dreg", "stl"):
            raise UsageError(f"iwae: gradient={gradient!r}; there are standard, dreg and stl")
        self.samples = self.draws = samples
        self.gradient = gradient

    def check(self, model: VAE) -> None:
        """Refuse a posterior without a derivative along its draws, or whose parameters cannot be held fixed."""
        q = probe_posterior(model)
        if self.gradient != "standard":
            reason = f"gradient={self.gradient} differentiates the density along the draws alone"
            refuse_discrete("iwae", q, reason=reason, instead="gradient=standard")
        if q is not None and self.gradient != "standard":
            stop_gradient(q)

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        doubly = self.gradient == "dreg"
        draws = draw(model, x, c, self.samples, stop_posterior=self.gradient != "standard", gated=doubly)
        log_weight = draws.log_weight
        bound = log_mean_exp(log_weight)
        if draws.gate is None:
            return draws.result(bound, bound)
        weight = log_weight.detach().softmax(0)
        # The gate multiplies the path through z by the weight once more.
        source = (weight * log_weight + draws.gate.close(weight)).sum(0)
        return draws.result(bound, with_gradient_of(bound, source))

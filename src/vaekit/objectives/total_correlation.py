r"""The KL in three parts: mutual information, total correlation and the dimensions' own divergence.

.. math:: \mathbb E_x \mathrm{KL}(q(z \mid x) \,\|\, p(z)) =
    \underbrace{\mathbb E \log \frac{q(z \mid x)}{q(z)}}_{\alpha: \text{ mutual information}}
  + \underbrace{\mathbb E \log \frac{q(z)}{\prod_j q(z_j)}}_{\beta: \text{ total correlation}}
  + \underbrace{\mathbb E \log \frac{\prod_j q(z_j)}{p(z)}}_{\gamma: \text{ dimension-wise KL}}

Chen et al. (2018), "Isolating Sources of Disentanglement in VAEs", equations 2 and 5. The aggregate posterior
:math:`q(z) = \frac 1 N \sum_n q(z \mid x_n)` over the :math:`N` training rows is estimated from a batch of
:math:`B`, one of which is the example that :math:`z_i` was drawn for:

.. math::

    \text{mws} &: \frac 1 {N B} \sum_{j=1}^B q(z_i \mid x_j) && \text{(equation S5; too small by about } N) \\
    \text{mss} &: \frac 1 N q(z_i \mid x_i) + \frac{N - 1}{N (B - 1)} \sum_{j \ne i} q(z_i \mid x_j)

The second, minibatch stratified sampling, is unbiased for :math:`q(z_i)` before the logarithm. The paper's
appendix C.1 gives one of the other examples a different weight; the form here is the mean over the choice of
that example, so that the expectation is the same, the variance is no larger, and the order of the batch has
no effect.
"""

from math import inf, log
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaekit.contracts import Objective, ObjectiveResult, ObjectiveTraits
from vaekit.errors import UsageError
from vaekit.language.schedules import Annealed, Schedule, check_count, check_scalar
from vaekit.objectives.building_blocks import probe_posterior, refuse_discrete, subtract_auxiliary_loss
from vaekit.objectives.divergence import divergence
from vaekit.vae import VAE

__all__ = ["TotalCorrelation"]


class TotalCorrelation(Annealed, Objective):
    r"""``tc``: the ELBO with a weight on each of three parts of the KL (:math:`\beta`-TCVAE).

    The surrogate of an example depends on its batch, through the estimate of :math:`q(z)`. The reported bound
    is the plain ELBO. Use batches much larger than 1: a single example says nothing about :math:`q(z)`, and
    its total correlation is then that of its own posterior, zero.

    Parameters
    ----------
    alpha, beta, gamma
        Weights of mutual information, total correlation and dimension-wise KL; all 1 give the ELBO.
    estimator
        ``mss``, minibatch stratified sampling, or ``mws``, minibatch weighted sampling.
    rows
        :math:`N`, the number of training rows. None: the training loop gives it.

    Raises
    ------
    UsageError
        If a weight is negative or not finite, or ``rows`` is below 1; and when called, if the number of rows
        is not known, or the dimensions of the posterior are not independent.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)
    >>> TotalCorrelation(rows=1000)(model, torch.ones(4, 3)).surrogate.shape
    torch.Size([4])
    """

    traits = ObjectiveTraits(looks_over_batch=True)
    alpha: float
    beta: float
    gamma: float

    def __init__(
        self,
        *,
        alpha: float | Schedule = 1.0,
        beta: float | Schedule = 4.0,
        gamma: float | Schedule = 1.0,
        estimator: Literal["mss", "mws"] = "mss",
        rows: int | None = None,
    ) -> None:
        for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
            check_scalar("tc", name, value, meaning="1 is the evidence lower bound")
        if estimator not in ("mss", "mws"):
            raise UsageError(f"tc: estimator={estimator!r}; there are mss and mws")
        if rows is not None:
            check_count("tc", "rows", rows)
        super().__init__(alpha=alpha, beta=beta, gamma=gamma)
        self.estimator = estimator
        self.rows = rows
        self._rows = rows

    def begin(self, *, rows: int) -> None:
        """Take note of the number of training rows, unless it was given."""
        self._rows = rows if self.rows is None else self.rows

    def check(self, model: VAE) -> None:
        """Refuse a posterior whose dimensions are not independent."""
        q = probe_posterior(model)
        reason = "the total correlation is estimated from densities of single dimensions"
        refuse_discrete("tc", q, reason=reason, instead="posterior=diagonal")
        if q is not None:
            _factors(q)

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q, p = model.encode(x, c), model.prior(c)
        z = q.rsample()
        reconstruction = model.decode(z, c).log_prob(x)
        kl, per_dimension = divergence(q, p, z)
        conditional = self._pairwise(q, z)  # (batch of z, batch of x, latent)
        log_share = self._log_shares(conditional)[:, :, None]
        log_aggregate = (conditional.sum(2) + log_share[:, :, 0]).logsumexp(1)
        log_marginals = (conditional + log_share).logsumexp(1).sum(1)
        log_conditional = conditional.diagonal().sum(0)
        mutual_information = log_conditional - log_aggregate
        total_correlation = log_aggregate - log_marginals
        own = log_marginals - p.log_prob(z)
        surrogate = (
            reconstruction
            - self.alpha * mutual_information
            - self.beta * total_correlation
            - self.gamma * own
        )
        surrogate = subtract_auxiliary_loss(surrogate, q, p)
        return ObjectiveResult(reconstruction - kl, surrogate, reconstruction, kl, per_dimension)

    def _pairwise(self, q: Distribution, z: Tensor) -> Tensor:
        r"""Return :math:`\log q(z_{ij} \mid x_k)` at ``[i, k, j]``."""
        return _factors(q).log_prob(z[:, None]).flatten(2)

    def _log_shares(self, conditional: Tensor) -> Tensor:
        r"""Return the log-weight of :math:`q(z_i \mid x_k)` in the estimate of :math:`q(z_i)`, at ``[i, k]``."""
        batch, rows = len(conditional), self._rows
        if rows is None:
            raise UsageError(
                "tc: the number of training rows is not known; call begin(rows=...) first, or give rows=..."
            )
        if self.estimator == "mws":
            return conditional.new_full((batch, batch), -log(rows) - log(batch))
        # In a batch or a data set of one there are no others: q(z | x) is then the estimate of q(z).
        others = log((rows - 1) / (rows * (batch - 1))) if batch > 1 and rows > 1 else -inf
        own = -log(rows) if others > -inf else 0.0
        itself = torch.eye(batch, dtype=torch.bool, device=conditional.device)
        return conditional.new_full((batch, batch), others).masked_fill(itself, own)


def _factors(q: Distribution) -> Distribution:
    """Return the distribution of each latent dimension; raise a UsageError where there is none."""
    if isinstance(q, Independent) and q.reinterpreted_batch_ndims == len(q.event_shape):
        return q.base_dist
    raise UsageError(
        f"tc: the posterior is a {type(q).__name__}, whose dimensions are not independent given x; the total "
        "correlation is estimated from their densities one by one: use posterior=diagonal"
    )

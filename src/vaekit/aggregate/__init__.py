r"""Priors fitted after training to the aggregate posterior :math:`q(z) = \frac 1 n \sum_i q(z \mid x_i)`.

Other libraries call them samplers. With encoder and decoder as they are, the prior that maximises the
evidence lower bound is the aggregate posterior itself (Hoffman and Johnson, 2016, "ELBO surgery"):

.. math:: \frac 1 n \sum_i \mathrm{KL}(q(z \mid x_i) \,\|\, p(z)) = I_q(x; z) + \mathrm{KL}(q(z) \,\|\, p(z)).

So a prior fitted to draws from it by maximum likelihood is put into the prior's slot, and from there on is
sampled from, saved and *evaluated* like any other.
"""

from vaekit.aggregate.prior_after_training import PriorFit, aggregate_draws, fit_prior

__all__ = ["PriorFit", "aggregate_draws", "fit_prior"]

r"""Mixtures of Gaussians, with diagonal or with full covariances.

.. math::

    \text{mixture} &: p(z) = \sum_{j=1}^K \pi_j\, \mathcal N(z; m_j, \operatorname{diag} s_j^2) \\
    \text{gmm}     &: p(z) = \sum_{j=1}^K \pi_j\, \mathcal N(z; m_j, L_j L_j^\top)

Both are learned with the rest of the model: Dilokthanakul et al. (2016), "Deep Unsupervised Clustering with
Gaussian Mixture VAEs"; Tomczak and Welling (2018), section 4.1, as "MoG". The second can also be fitted
afterwards to the aggregate posterior by expectation maximisation: Ghosh et al. (2020), "From Variational to
Deterministic Autoencoders", section 4 (ex-post density estimation).

With a condition, weights and means of ``mixture`` depend on it, up to a constant
:math:`\log \pi_j(c) = a_j + b_j^\top c` and :math:`m_j(c) = m_j + B_j c`: for each class, every component has
its own weight and mean; for a covariate, a slope. The scales do not depend on it.
"""

import warnings

import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    MixtureSameFamily,
)

from vaekit.contracts import Prior, PriorTraits
from vaekit.distributions.normals import FullNormal, independent_normal
from vaekit.errors import DataError, UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.networks.network_inputs import require_condition
from vaekit.runtime.first_imports import import_quietly

__all__ = ["GaussianMixturePrior", "MixturePrior"]


class MixturePrior(nn.Module, Prior):
    """``mixture``: several diagonal Gaussians.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.
    condition
        The number of numbers in a condition; 0: the prior has none.
    components
        The number of components.

    Raises
    ------
    UsageError
        If there is no component.

    Examples
    --------
    >>> prior = MixturePrior((2,), components=3)
    >>> prior().log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(self, latent_shape: tuple[int, ...], condition: int = 0, *, components: int = 10) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"mixture: components={components}; give at least 1")
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, *latent_shape))
        self.log_scales = nn.Parameter(torch.zeros(components, *latent_shape))
        if condition:
            self.of_condition = nn.Parameter(torch.zeros(condition, components))
            self.means_of_condition = nn.Parameter(torch.zeros(condition, components, *latent_shape))
            self.traits = PriorTraits(needs=frozenset({"condition"}))

    def forward(self, *, condition: Tensor | None = None) -> Distribution:
        """Return the prior over ``(k,)``, of batch shape ``(batch,)`` if there is a condition ``(batch, d)``."""
        logits, means, scales = self.logits, self.means, soft_bound(self.log_scales).exp()
        if self.traits.needs:
            condition = require_condition(condition)
            logits = logits + condition @ self.of_condition
            means = means + torch.tensordot(condition, self.means_of_condition, 1)
            scales = scales.expand_as(means)
        return MixtureSameFamily(
            Categorical(logits=logits, validate_args=False),
            independent_normal(means, scales, self.means.dim() - 1),
            validate_args=False,
        )


_ROUNDS = 500  # of expectation maximisation


class GaussianMixturePrior(nn.Module, Prior):
    r"""``gmm``: several Gaussians with full covariances.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.
    components
        The number of components, :math:`K`.

    Raises
    ------
    UsageError
        If there is no component.

    Examples
    --------
    >>> prior = GaussianMixturePrior((2,), components=3)
    >>> prior().log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    traits = PriorTraits(fits_draws=True)

    def __init__(self, latent_shape: tuple[int, ...], *, components: int = 10) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"gmm: components={components}; give at least 1")
        (k,) = latent_shape
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, k))
        self.log_diagonals = nn.Parameter(torch.zeros(components, k))
        self.below = nn.Parameter(torch.zeros(components, k, k))

    def forward(self) -> Distribution:
        """Return the prior over ``(k,)``."""
        factors = torch.diag_embed(soft_bound(self.log_diagonals).exp()) + self.below.tril(-1)
        return MixtureSameFamily(
            Categorical(logits=self.logits, validate_args=False),
            FullNormal(self.means, scale_tril=factors, validate_args=False),
            validate_args=False,
        )

    @torch.no_grad()
    def fit_draws(self, z: Tensor, seed: int = 0, *, condition: Tensor | None = None) -> None:
        r"""Maximise :math:`\sum_i \log p(z_i)` by expectation maximisation from k-means, without regularisation.

        Parameters
        ----------
        z
            ``(n, k)`` draws.
        seed
            The seed of k-means.
        condition
            Not used: this mixture takes no condition.

        Raises
        ------
        DataError
            If there are fewer draws than components, or a component collapses onto a few of them.
        """
        import_quietly("sklearn.mixture")
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
        from threadpoolctl import threadpool_limits

        components = len(self.logits)
        fitting = GaussianMixture(components, reg_covar=0.0, max_iter=_ROUNDS, random_state=seed)
        # One thread: with more, the order of summation would change the last digits.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out draws measure the fit
            try:
                fitting.fit(z.double().cpu().numpy())
            except ValueError as error:
                raise DataError(
                    f"gmm: no mixture of {components} Gaussians could be fitted to {len(z)} draws of {z.shape[1]} "
                    f"dimensions ({str(error).splitlines()[0]}); try fewer components or more rows"
                ) from error
        self.set_components(
            *(torch.from_numpy(a) for a in (fitting.weights_, fitting.means_, fitting.covariances_))
        )

    @torch.no_grad()
    def set_components(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Set weights ``(K,)``, means ``(K, k)`` and covariances ``(K, k, k)``.

        Raises
        ------
        DataError
            If a covariance is singular, or a standard deviation is not between :math:`e^{-12}` and
            :math:`e^{12}`.
        """
        factors, failed = torch.linalg.cholesky_ex(covariances)
        log_diagonals = factors.diagonal(dim1=-2, dim2=-1).log()
        if bool(failed.any()) or not bool((log_diagonals.abs() < 12).all()):
            raise DataError(
                "gmm: a component has a singular covariance: the latents lie in a plane, or it has collapsed onto few "
                "draws; try fewer components, or a model with fewer latent dimensions"
            )
        self.logits.copy_(weights.log())
        self.means.copy_(means)
        self.log_diagonals.copy_(log_diagonals * (1 - (log_diagonals / 12).square()).rsqrt())
        self.below.copy_(factors.tril(-1))

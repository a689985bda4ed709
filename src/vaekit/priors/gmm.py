r"""The Gaussian mixture with full covariances, :math:`p(z) = \sum_{j=1}^K \pi_j\, \mathcal N(z; m_j, L_j L_j^\top)`.

Learned with the rest, or fitted afterwards to the aggregate posterior by expectation maximisation: Ghosh et al.
(2020), "From Variational to Deterministic Autoencoders", section 4 (ex-post density estimation).
"""

import warnings

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal

from vaekit.contracts import Prior, PriorTraits
from vaekit.errors import DataError, UsageError
from vaekit.networks.bounded import soft_bound

__all__ = ["GaussianMixturePrior"]

_ROUNDS = 500  # of expectation maximisation


class GaussianMixturePrior(nn.Module, Prior):
    r"""``gmm``: several Gaussians with full covariances.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.
    components
        :math:`K`, how many.

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
        """Give the prior over ``(k,)``."""
        factors = torch.diag_embed(soft_bound(self.log_diagonals).exp()) + self.below.tril(-1)
        return MixtureSameFamily(
            Categorical(logits=self.logits, validate_args=False),
            MultivariateNormal(self.means, scale_tril=factors, validate_args=False),
            validate_args=False,
        )

    @torch.no_grad()
    def fit_draws(self, z: Tensor, seed: int = 0, *, condition: Tensor | None = None) -> None:
        r"""Maximise :math:`\sum_i \log p(z_i)` by expectation maximisation, from k-means; nothing is added to it.

        Parameters
        ----------
        z
            ``(n, k)`` draws.
        seed
            Of k-means.
        condition
            Not used: the mixture has none.

        Raises
        ------
        DataError
            If there are fewer draws than components, or a component collapses onto a few of them.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
        from threadpoolctl import threadpool_limits

        components = len(self.logits)
        fitting = GaussianMixture(components, reg_covar=0.0, max_iter=_ROUNDS, random_state=seed)
        # One thread: how sums are divided among more of them would show in the last digits.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out draws tell how good the fit is
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
        """Take over weights ``(K,)``, means ``(K, k)`` and covariances ``(K, k, k)``.

        Raises
        ------
        DataError
            If a covariance is singular, or a standard deviation lies beyond :math:`e^{12}` either way.
        """
        factors, failed = torch.linalg.cholesky_ex(covariances)
        log_diagonals = factors.diagonal(dim1=-2, dim2=-1).log()
        if bool(failed.any()) or not bool((log_diagonals.abs() < 12).all()):
            raise DataError(
                "gmm: a component has a singular covariance: the latents lie on a plane, or it has collapsed onto few "
                "draws; try fewer components, or a model with fewer latent dimensions"
            )
        self.logits.copy_(weights.log())
        self.means.copy_(means)
        self.log_diagonals.copy_(log_diagonals * (1 - (log_diagonals / 12).square()).rsqrt())
        self.below.copy_(factors.tril(-1))

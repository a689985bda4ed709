r"""A likelihood of rows of which some cells are missing: the density of the observed cells.

.. math:: \log p(x_\text{obs} \mid z) = \sum_{j \text{ observed}} \log p_j(x_j \mid z)

A missing cell is NaN. Given :math:`z` the cells of a row are independent, so that the marginal of the observed ones
is the product of their own densities, and a bound made of it is a bound of :math:`\log p(x_\text{obs})`: Nazabal et
al. (2020), "Handling Incomplete Heterogeneous Data using VAEs", equation 3; with importance weights, Mattei and
Frellsen (2019), "MIWAE: Deep Generative Modelling and Imputation of Incomplete Data", equation 5. It is right where
cells are missing at random, given those that are observed (Rubin, 1976, "Inference and Missing Data").
"""

from abc import abstractmethod
from collections.abc import Sequence
from math import floor, inf

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vaekit.contracts import Accepts, Likelihood
from vaekit.data.missing_values import filled_in_turn
from vaekit.distributions.base import PlainDistribution, WrappedDistribution
from vaekit.errors import UsageError
from vaekit.likelihoods.conventions import InDataUnits
from vaekit.networks.network_inputs import ObservedInputs

__all__ = ["CellwiseDistribution", "ObservedCells", "cell_log_prob"]


class CellwiseDistribution(PlainDistribution):
    """A distribution of independent cells whose terms can be told apart. Abstract."""

    @abstractmethod
    def log_prob_by_cell(self, value: Tensor) -> Tensor:
        """Evaluate the log-density of each cell, ``(*batch, *event)`` in nats."""


def cell_log_prob(distribution: Distribution, value: Tensor) -> Tensor:
    """Evaluate the log-density of each cell of rows ``(..., *event)``: the terms of which ``log_prob`` is the sum.

    Raises
    ------
    UsageError
        If the distribution is no product over cells.

    Examples
    --------
    >>> from torch.distributions import Bernoulli, Independent
    >>> cell_log_prob(Independent(Bernoulli(torch.tensor([0.5, 0.25])), 1), torch.ones(2)).exp()
    tensor([0.5000, 0.2500])
    """
    if isinstance(distribution, CellwiseDistribution):
        return distribution.log_prob_by_cell(value)
    cells = len(distribution.event_shape)
    if isinstance(distribution, Independent) and distribution.reinterpreted_batch_ndims == cells:
        return distribution.base_dist.log_prob(value)
    raise UsageError(
        f"{type(distribution).__name__}: a density of whole rows, of which the observed cells alone cannot be "
        "evaluated; a likelihood that takes missing values returns an Independent over all dimensions of an example"
    )


class ObservedCells(nn.Module, Likelihood):
    r"""Another likelihood, of the cells that are observed: those that are not NaN.

    Parameters
    ----------
    base
        The likelihood of whole rows, with the trait ``takes_missing``. A Jacobian of its own is left out.
    log_jacobian
        The logarithm of the Jacobian of each cell's scaling, :math:`-\log s_j` in nats; one number for all, or one
        for each cell. A missing cell's is not counted.
    masked
        For each cell, whether the encoder is told that it is missing by a further input.

    Examples
    --------
    >>> from vaekit.likelihoods import GaussianLikelihood
    >>> likelihood = ObservedCells(GaussianLikelihood((3,), scale="fixed", value=1.0))
    >>> likelihood(torch.zeros(3)).log_prob(torch.tensor([[0.0, 0.0, 0.0], [0.0, torch.nan, 0.0], [torch.nan] * 3]))
    tensor([-2.7568, -1.8379,  0.0000])
    """

    log_jacobian: Tensor

    def __init__(
        self,
        base: Likelihood,
        log_jacobian: float | Sequence[float] = 0.0,
        *,
        masked: Sequence[bool] = (),
    ) -> None:
        super().__init__()
        self.base, self.traits, self.support = base, base.traits, base.support
        self.event_shape, self.feature_shape = base.event_shape, base.feature_shape
        self.levels, self.columns = base.levels, base.columns
        self.fill = _inside(base.support)
        self._masked = tuple(masked)
        jacobian = torch.as_tensor(log_jacobian, dtype=torch.float64)
        jacobian = (
            jacobian.expand(self.event_shape) if jacobian.dim() == 0 else jacobian.reshape(self.event_shape)
        )
        self.register_buffer("log_jacobian", jacobian.to(torch.get_default_dtype()), persistent=False)

    @property
    def encoder_input(self) -> ObservedInputs:
        """The map before the encoder: what the base's makes of the data, 0 for missing cells, and which are missing."""
        return ObservedInputs(self.base.encoder_input, self._masked, self.fill)

    @property
    def encoder_shape(self) -> tuple[int, ...]:
        """The shape of what the encoder sees."""
        shape = self.base.encoder_shape
        return (*shape[:-1], shape[-1] + sum(self._masked))

    def learn_rows(self, rows: npt.NDArray[np.floating], facts: Sequence[object]) -> None:
        """Have the base see training rows, if it wants to; it leaves missing cells out."""
        self.base.learn_rows(rows, facts)

    def marginal_features(self, x: Tensor) -> Tensor | None:
        """Return the features of the marginals of the observed cells of data ``(n, *event)``.

        Missing cells take the observed values of their column in turn, which changes its mean and frequencies little.
        """
        return self.base.marginal_features(torch.from_numpy(filled_in_turn(x.cpu().numpy())).to(x.device))

    def baseline(
        self, train: npt.NDArray[np.float64], held_out: npt.NDArray[np.float64]
    ) -> Sequence[tuple[str, npt.NDArray[np.float64]]]:
        """Return the base's further baselines, for rows without missing cells."""
        return self.base.baseline(train, held_out)

    def forward(self, features: Tensor, **given: object) -> Distribution:
        """Turn features ``(..., *feature_shape)`` into a distribution over the event."""
        p = self.base(features, **given)
        return _Observed(p.base if isinstance(p, InDataUnits) else p, self.fill, self.log_jacobian)


class _Observed(WrappedDistribution, CellwiseDistribution):
    """A distribution of which ``log_prob`` is that of the cells that are not NaN; draws and moments are of all."""

    def __init__(self, base: Distribution, fill: float, log_jacobian: Tensor) -> None:
        self.fill, self.log_jacobian = fill, log_jacobian
        super().__init__(base)

    def log_prob_by_cell(self, value: Tensor) -> Tensor:
        missing = value.isnan()
        # A value of the support stands in, so that neither the term nor its gradient is NaN before it is masked.
        terms = cell_log_prob(self.base, value.masked_fill(missing, self.fill)) + self.log_jacobian
        return terms.masked_fill(missing, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.log_prob_by_cell(value).flatten(-len(self.event_shape)).sum(-1)


def _inside(support: Accepts) -> float:
    """Return a number inside a support, not at its edge where that can be: a whole one, if there is one."""
    lower, upper = support.lower, support.upper
    if lower < 0 < upper:
        return 0.0
    if lower == -inf:
        return upper - 1.0
    if upper == inf:
        return lower + 1.0
    middle = (lower + upper) / 2
    return float(floor(middle)) if floor(middle) > lower else middle

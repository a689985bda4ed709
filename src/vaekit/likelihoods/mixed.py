r"""A likelihood per column, for tables whose columns are of different types.

.. math:: \log p(x \mid z) = \sum_j \log p_j(x_j \mid z)

where :math:`p_j` is a density for columns of real numbers and a probability for the others, so that
:math:`p(x \mid z)` is a density over the real columns and a probability of the rest. Nazabal et al. (2020),
"Handling Incomplete Heterogeneous Data using VAEs", section 3.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from math import inf, prod
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Likelihood, LikelihoodTraits, Measure
from vaekit.distributions.base import SampleShape
from vaekit.errors import UsageError
from vaekit.likelihoods.bernoulli import BernoulliLikelihood
from vaekit.likelihoods.categorical_likelihood import NominalLikelihood
from vaekit.likelihoods.conventions import InDataUnits
from vaekit.likelihoods.histogram import HistogramLikelihood
from vaekit.likelihoods.histogram_cells import ColumnFacts
from vaekit.likelihoods.location_scale import GaussianLikelihood, LaplaceLikelihood
from vaekit.likelihoods.negative_binomial import (
    NegativeBinomialLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
)
from vaekit.likelihoods.observed_cells import CellwiseDistribution, cell_log_prob
from vaekit.likelihoods.poisson import PoissonLikelihood
from vaekit.likelihoods.student_t import StudentTLikelihood
from vaekit.likelihoods.support import ColumnSupport, Support
from vaekit.likelihoods.transformed_normal import AsinhNormalLikelihood, LogNormalLikelihood
from vaekit.networks.network_inputs import ColumnInputs

__all__ = [
    "COLUMN_KINDS",
    "MixedColumns",
    "MixedLikelihood",
    "column_measure",
    "is_continuous",
    "offer_column_kind",
    "search_column_kinds",
]

_SCALAR = torch.Size()

# Kinds of column by name; another likelihood is offered by registering it.
_KINDS: dict[str, type] = {}

_finders: list[Callable[[str], object]] = []


class ColumnKinds(Collection[str]):
    """The names of the kinds of column, those of installed packages included when one is asked for."""

    def __contains__(self, name: object) -> bool:
        return name == "categorical" or _find(str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        yield from (*_KINDS, "categorical")

    def __len__(self) -> int:
        return len(_KINDS) + 1


#: Names of the kinds of column; ``categorical`` stands for ``categorical7`` with 7 categories, and so on.
COLUMN_KINDS = ColumnKinds()


def search_column_kinds(finder: Callable[[str], object]) -> None:
    """Have a function called with every name that is not known: it may offer that kind."""
    _finders.append(finder)


def _find(name: str) -> Any:
    if name not in _KINDS:
        for finder in _finders:
            finder(name)
    return _KINDS.get(name)


def offer_column_kind(name: str, likelihood: type) -> None:
    """Let a likelihood describe single columns of a table, under a name.

    Examples
    --------
    >>> offer_column_kind("gaussian", GaussianLikelihood)
    >>> "gaussian" in COLUMN_KINDS
    True
    """
    _KINDS[name] = likelihood


def column_measure(kind: str) -> tuple[Measure, int | None]:
    """Return the measure of a kind of column, and its number of levels where it has levels.

    Examples
    --------
    >>> column_measure("gaussian"), column_measure("categorical7")
    (('density', None), ('levels', 7))
    """
    if match := _CATEGORICAL.fullmatch(kind):
        return "levels", int(match[1])
    return _find(_HISTOGRAM.sub("histogram", kind)).traits.measure, None


def is_continuous(kind: str) -> bool:
    """Whether a kind of column is a density of real numbers, whose data are standardised.

    Examples
    --------
    >>> is_continuous("gaussian"), is_continuous("categorical7")
    (True, False)
    """
    found = _find(_HISTOGRAM.sub("histogram", kind))
    return found is not None and found.traits.scaling == "standardize"


class MixedLikelihood(nn.Module, Likelihood):
    r"""``mixed``: each column of a table has its own likelihood.

    The mean, which reconstructions show, is the most probable category of a categorical column.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Logarithm of the Jacobian of the scaling of the real columns, in nats (see :class:`InDataUnits`).
    columns
        A kind for each column: ``gaussian``, ``laplace``, ``student-t``, ``log-normal`` and ``asinh-normal``, each with
        its own scale;
        ``bernoulli``; ``categorical7`` for one of 7 categories; ``poisson``, ``negative-binomial``,
        ``zero-inflated-negative-binomial``; ``histogram37`` for at most 37 cells. A single kind is for all columns.

    Raises
    ------
    UsageError
        For an unknown kind, or if there are not as many kinds as columns.

    Examples
    --------
    >>> likelihood = MixedLikelihood((3,), columns=("gaussian", "categorical4", "bernoulli"))
    >>> likelihood.feature_shape
    (6,)
    >>> p = likelihood(torch.zeros(5, 6))
    >>> p.log_prob(torch.tensor([0.0, 3.0, 1.0]))[0] + torch.tensor(8.0 * (2 * torch.pi) ** 0.5).log()
    tensor(0., grad_fn=<AddBackward0>)
    """

    traits = LikelihoodTraits(measure="mixed", scaling="mixed", takes_missing=True, learns_rows=True)
    order: Tensor
    places: Tensor

    def __init__(
        self,
        event_shape: Sequence[int],
        log_jacobian: float = 0.0,
        *,
        columns: tuple[str, ...] = ("gaussian",),
    ) -> None:
        super().__init__()
        count = prod(event_shape)
        kinds = columns * count if len(columns) == 1 else columns
        if len(kinds) != count:
            raise UsageError(
                f"mixed: {len(columns)} kinds of column for {count} columns that vary; give one for each, such as "
                "mixed:columns=gaussianxbernoulli, or leave columns out to have them chosen"
            )
        self.columns, self.event_shape, self.log_jacobian = kinds, tuple(event_shape), log_jacobian
        names = list(dict.fromkeys(kinds))
        members = [[j for j, kind in enumerate(kinds) if kind == name] for name in names]
        self.groups = nn.ModuleList(_build(n, len(m)) for n, m in zip(names, members, strict=True))
        groups = self._likelihoods()
        if not all(group.traits.takes_missing for group in groups):
            self.traits = replace(self.traits, takes_missing=False)
        self.sizes = [group.feature_shape[0] for group in groups]
        self.feature_shape = (sum(self.sizes),)
        order = [j for m in members for j in m]
        self.register_buffer("order", torch.tensor(order), persistent=False)
        self.register_buffer(
            "places", torch.tensor(sorted(range(count), key=order.__getitem__)), persistent=False
        )
        self.support = ColumnSupport(
            [(kind, cast(Support, group.support)) for kind, group in zip(names, groups, strict=True)],
            members,
            -inf,
            inf,
        )
        levels = [group.levels for group in groups]
        inputs = [group.encoder_input for group in groups]
        plain = not any(levels) and all(transform is None for transform in inputs)
        widths = [prod(group.encoder_shape) for group in groups]
        self.encoder_input = None if plain else ColumnInputs(levels, inputs, members, widths)

    @property
    def encoder_shape(self) -> tuple[int, ...]:
        """The shape of what the encoder sees: categories as unit vectors."""
        return self.event_shape if self.encoder_input is None else (self.encoder_input.width,)

    def _likelihoods(self) -> list[Likelihood]:
        """Return the likelihoods, one for all columns of a kind."""
        return [cast(Likelihood, group) for group in self.groups]

    def learn_rows(self, rows: npt.NDArray[np.floating], facts: Sequence[ColumnFacts]) -> None:
        """Have every kind that wants to see training rows ``(n, *event)`` see its columns of them."""
        flat = rows.reshape(len(rows), -1)[:, self.order.cpu().numpy()]
        ordered = [facts[j] for j in self.order.tolist()]
        start = 0
        for group in self._likelihoods():
            end = start + group.event_shape[0]
            if group.traits.learns_rows:
                group.learn_rows(flat[:, start:end], ordered[start:end])
            start = end

    def marginal_features(self, x: Tensor) -> Tensor | None:
        """Return the features of the means and frequencies of data ``(n, *event)``, for every latent alike."""
        groups = self._likelihoods()
        sizes = [group.event_shape[0] for group in groups]
        parts = x.flatten(1).index_select(1, self.order).split(sizes, 1)
        features = [group.marginal_features(part) for group, part in zip(groups, parts, strict=True)]
        known = [part for part in features if part is not None]
        return torch.cat(known) if len(known) == len(features) else None

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *feature_shape)``, kind by kind, into a distribution over the event."""
        parts = [group(part) for group, part in zip(self.groups, features.split(self.sizes, -1), strict=True)]
        joined = MixedColumns(parts, self.order, self.places, self.event_shape)
        return InDataUnits(joined, self.log_jacobian) if self.log_jacobian else joined


class MixedColumns(CellwiseDistribution):
    """Independent groups of columns, each with its own distribution.

    Parameters
    ----------
    parts
        One distribution per group, of event shape ``(columns of the group,)`` and a common batch shape.
    order, places
        The column of each entry of all groups in a row, and the inverse of that permutation.
    event_shape
        The shape of a row, with as many entries as there are columns.
    """

    has_rsample = False

    def __init__(
        self, parts: list[Distribution], order: Tensor, places: Tensor, event_shape: tuple[int, ...]
    ) -> None:
        self.parts, self.order, self.places = parts, order, places
        super().__init__(parts[0].batch_shape, torch.Size(event_shape), validate_args=False)

    def log_prob_by_part(self, value: Tensor) -> list[Tensor]:
        """Return the terms of ``log_prob``, one for each group."""
        return [part.log_prob(x) for part, x in zip(self.parts, self._groups(value), strict=True)]

    def log_prob_by_cell(self, value: Tensor) -> Tensor:
        """Return the terms of ``log_prob``, one for each column, ``(*batch, *event)``."""
        terms = [cell_log_prob(part, x) for part, x in zip(self.parts, self._groups(value), strict=True)]
        batch = torch.broadcast_shapes(*(term.shape[:-1] for term in terms))
        return self._join([term.expand(*batch, term.shape[-1]) for term in terms])

    def _groups(self, value: Tensor) -> tuple[Tensor, ...]:
        """Cut rows into the columns of each group."""
        flat = value.flatten(value.dim() - len(self.event_shape)).index_select(-1, self.order)
        return flat.split([part.event_shape[0] for part in self.parts], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density of the real columns and log-probability of the others, ``(...)`` in nats."""
        return torch.stack(torch.broadcast_tensors(*self.log_prob_by_part(value))).sum(0)

    def sample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw ``(*sample_shape, *batch, *event)``."""
        return self._join([part.sample(torch.Size(sample_shape)) for part in self.parts])

    @property
    def mean(self) -> Tensor:
        """The means; for a categorical column the most probable category."""
        return self._join([part.mean for part in self.parts])

    @property
    def variance(self) -> Tensor:
        """The variances; for a categorical column that of whether it is the most probable category."""
        return self._join([part.variance for part in self.parts])

    def _join(self, groups: list[Tensor]) -> Tensor:
        joined = torch.cat(groups, -1).index_select(-1, self.places)
        return joined.unflatten(-1, self.event_shape)


def _build(kind: str, count: int) -> nn.Module:
    part = _find(kind)
    if part is not None:
        return part((count,), **(part.traits.column_options or {}))
    if match := _CATEGORICAL.fullmatch(kind):
        return NominalLikelihood((count,), levels=int(match[1]))
    if match := _HISTOGRAM.fullmatch(kind):
        return HistogramLikelihood((count,), cells=int(match[1]))
    raise UsageError(
        f"mixed: unknown kind of column {kind!r}; there are {', '.join(_KINDS)}, and categorical7 for 7 categories"
    )


_CATEGORICAL = re.compile(r"categorical([1-9]\d*)")
_HISTOGRAM = re.compile(r"^histogram([1-9]\d*)$")
for _name, _kind in (
    ("gaussian", GaussianLikelihood),
    ("laplace", LaplaceLikelihood),
    ("student-t", StudentTLikelihood),
    ("log-normal", LogNormalLikelihood),
    ("asinh-normal", AsinhNormalLikelihood),
    ("bernoulli", BernoulliLikelihood),
    ("poisson", PoissonLikelihood),
    ("negative-binomial", NegativeBinomialLikelihood),
    ("zero-inflated-negative-binomial", ZeroInflatedNegativeBinomialLikelihood),
    ("histogram", HistogramLikelihood),
):
    offer_column_kind(_name, _kind)

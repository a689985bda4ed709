r"""The rows that the page shows: their latents, and what is known of each of them.

Each row has a code (the point that stands for :math:`q(z \mid x)`), the standard deviation of :math:`q` along each
dimension, the divergence :math:`\mathrm{KL}(q(z \mid x) \,\|\, p(z))`, and the reconstruction term
:math:`\log p(x \mid z)` at its code, all in nats. Without data the rows are draws from the prior.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.data import Dataset
from vaekit.errors import DataError
from vaekit.estimator import VariationalAutoencoder
from vaekit.objectives import Elbo
from vaekit.report.scene import evenly_spread
from vaekit.runtime.randomness import seeded
from vaekit.runtime.surroundings import usual_surroundings
from vaekit.vae import VAE, code_of

__all__ = ["MOST_ROWS", "ShownRows"]

Floats = npt.NDArray[np.float64]

MOST_ROWS = 100_000
_DRAWN = 2_000  # from the prior, where there are no data
_DRAWS = 256  # of a posterior that does not know its standard deviation


@dataclass(frozen=True, eq=False)
class ShownRows:
    """Rows in the units of the data, with their latents.

    Parameters
    ----------
    rows
        The rows; without labels where they are draws from the prior.
    numbers
        ``(n,)``: the number of each row in its source, counted from 0.
    latents
        ``(n, k)``: the code of each row.
    spread
        ``(n, k)``: standard deviations of the posteriors; None for draws from the prior.
    kl
        ``(n,)`` nats; None where the posterior has no density.
    kl_per_dimension
        ``(k,)`` means in nats; None where the KL is not a sum over latent dimensions.
    reconstruction
        ``(n,)`` nats; None for draws from the prior.
    total
        How many rows the source has, shown or not.
    unusable
        How many rows were left out because the model encodes them to numbers that are not finite.
    """

    rows: Dataset
    numbers: npt.NDArray[np.int64]
    latents: Floats
    spread: Floats | None
    kl: Floats | None
    kl_per_dimension: Floats | None
    reconstruction: Floats | None
    total: int
    unusable: int = 0

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def are_drawn(self) -> bool:
        """Whether these are draws from the prior, for want of data."""
        return self.reconstruction is None

    @classmethod
    def of_data(
        cls, estimator: VariationalAutoencoder, data: Dataset, *, most: int = MOST_ROWS
    ) -> "ShownRows":
        """Encode rows that were checked against the schema: at most so many, evenly spaced in the data.

        Raises
        ------
        DataError
            If there are no rows, or the model encodes none of them to finite numbers.
        """
        if not len(data):
            raise DataError(f"{data.source}: there are no rows to show")
        if data.labels is not None and np.shape(data.labels) != (len(data),):
            raise DataError(
                f"labels of shape {np.shape(data.labels)} for {len(data)} rows; give one label for each"
            )
        numbers = evenly_spread(len(data), most)
        rows = data.take(numbers)
        known = _described(estimator, rows)
        fine = np.isfinite(known["code"]).all(1)
        if not fine.any():
            raise DataError(
                f"the model encodes no row of {data.source} to finite numbers: its training diverged, or the rows are "
                "far from those of the training; fit it again, with a smaller learning rate"
            )
        if not fine.all():
            numbers, rows = numbers[fine], rows.take(np.flatnonzero(fine))
            known = {name: values[fine] for name, values in known.items()}
        each = known.get("kl_per_dimension")
        return cls(
            rows=rows,
            numbers=numbers,
            latents=known["code"],
            spread=known["spread"],
            kl=known["kl"][:, 0] if "kl" in known else None,
            kl_per_dimension=None if each is None else _finite_means(each),
            reconstruction=known["reconstruction"][:, 0],
            total=len(data),
            unusable=int((~fine).sum()),
        )

    @classmethod
    def of_prior(cls, estimator: VariationalAutoencoder) -> "ShownRows":
        """Draw latents from the prior and decode them."""
        schema = estimator.schema_
        given = None if schema.conditions is None else "data"
        latents = estimator.sample_latents(_DRAWN, given=given, random_state=0)
        conditions = estimator.sample_conditions(_DRAWN, given=given, random_state=0)
        values = estimator.inverse_transform(latents, given=conditions, as_frame=False)
        best = [m for m in estimator.history_.epochs if m.epoch == estimator.history_.best_epoch]
        kl = best[0].kl_per_dimension if best else None
        fits = kl is not None and len(kl) == latents.shape[1]
        return cls(
            rows=Dataset(
                values, schema.kind, schema.column_names, source="draws from the prior", conditions=conditions
            ),
            numbers=np.arange(_DRAWN),
            latents=latents,
            spread=None,
            kl=None,
            kl_per_dimension=np.array(kl, np.float64) if fits else None,
            reconstruction=None,
            total=_DRAWN,
        )

    @cached_property
    def information(self) -> Floats:
        """The information in each dimension, ``(k,)``: its mean KL in nats, or else the variance of its codes."""
        return self.latents.var(0) if self.kl_per_dimension is None else self.kl_per_dimension

    @cached_property
    def order(self) -> list[int]:
        """The latent dimensions, the most informative first."""
        return np.argsort(-self.information, kind="stable").tolist()


def _finite_means(values: Floats) -> Floats:
    """Return the mean of each column over its finite values; 0 where there are none."""
    fine = np.isfinite(values)
    return np.where(fine, values, 0.0).sum(0) / np.maximum(fine.sum(0), 1)


@usual_surroundings()
def _described(estimator: VariationalAutoencoder, rows: Dataset) -> dict[str, Floats]:
    """Return what is known of each row, an array ``(n, width)`` by name."""
    fitted = estimator.fitted_model().taking(rows)
    widths: dict[str, int] = {}

    def describe(x: Tensor, c: Tensor | None) -> Tensor:
        found = _terms(fitted.model, x, c)
        widths.update({name: values.shape[1] for name, values in found.items()})
        return torch.cat([values.double() for values in found.values()], 1)

    with seeded(estimator.seed_ + 2):
        joined = fitted.map(rows, describe)
    ends = np.cumsum(list(widths.values()))
    parts = np.split(np.asarray(joined, np.float64), ends[:-1], axis=1)
    return dict(zip(widths, parts, strict=True))


def _terms(model: VAE, x: Tensor, c: Tensor | None) -> dict[str, Tensor]:
    q = model.encode(x, c)
    code = code_of(q)
    found = {
        "code": code.flatten(1),
        "spread": _spread(q).flatten(1),
        "reconstruction": model.decode(code, c).log_prob(x)[:, None],
    }
    if model.has_density:
        terms = Elbo()(model, x, c)
        found["kl"] = terms.kl[:, None]
        each = terms.kl_per_dimension
        if each is not None and each.shape[1:] == code.shape[1:]:
            found["kl_per_dimension"] = each.flatten(1)
    return found


def _spread(q: Distribution) -> Tensor:
    """Return the standard deviation of each latent dimension, by draws where the distribution does not know it."""
    try:
        return q.stddev
    except NotImplementedError:
        return q.sample(torch.Size((_DRAWS,))).std(0)

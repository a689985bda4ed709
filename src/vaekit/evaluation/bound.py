"""A mean over examples with its standard error, and the bound of an objective over a whole data set."""

from math import nan
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaekit.contracts import as_objective, check_result
from vaekit.objectives import Objective
from vaekit.runtime.surroundings import plain_arithmetic
from vaekit.runtime.threads import shared_threads, work_of
from vaekit.vae import VAE

__all__ = ["BoundSummary", "Estimate", "evaluate_bound"]


class Estimate(NamedTuple):
    r"""A mean over examples and its standard error :math:`s / \sqrt n`, in the unit of the values.

    Examples
    --------
    >>> Estimate.of([1.0, 2.0, 3.0])
    Estimate(mean=2.0, standard_error=0.5773502691896258)
    """

    mean: float
    standard_error: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> "Estimate":
        """Average values; the standard error of a single value is unknown (NaN)."""
        array = np.asarray(values, dtype=np.float64)
        error = float(array.std(ddof=1) / np.sqrt(array.size)) if array.size > 1 else nan
        return cls(float(array.mean()), error)


class BoundSummary(NamedTuple):
    """A bound and its terms over a data set, in nats.

    Parameters
    ----------
    values
        ``(n,)`` float64: the bound of each example.
    reconstruction, kl
        Means over the examples.
    kl_per_dimension
        ``(latent,)`` float64 means, or None where the KL is not a sum over dimensions.
    """

    values: Tensor
    reconstruction: float
    kl: float
    kl_per_dimension: Tensor | None

    @property
    def estimate(self) -> Estimate:
        """Mean of the bound with its standard error, in nats."""
        return Estimate.of(self.values.numpy())


@plain_arithmetic()
@torch.no_grad()
def evaluate_bound(
    model: VAE, objective: Objective, x: Tensor, *, c: Tensor | None = None, batch_size: int | None = None
) -> BoundSummary:
    """Evaluate the (un-annealed, unweighted) bound of an objective on every example of ``x``.

    Parameters
    ----------
    model, objective
        The model, and the objective whose bound is evaluated.
    x
        ``(n, *event)``, at least one example.
    c
        Condition, ``(n, ...)``.
    batch_size
        Examples at a time; by default 1024, divided by the number of latents that the objective draws for each.

    Returns
    -------
    BoundSummary

    Examples
    --------
    >>> from vaekit.objectives import Elbo
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)
    >>> evaluate_bound(model, Elbo(), torch.ones(4, 3)).values.shape
    torch.Size([4])
    """
    objective = as_objective(objective)
    size = max(1, 1024 // objective.draws) if batch_size is None else batch_size
    bounds, reconstructions, kls, dimensions = [], [], [], []
    with shared_threads(work_of(model, min(size, len(x)) * objective.draws)):
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            result = check_result(objective(model, x[part], None if c is None else c[part]), objective)
            bounds.append(result.bound.double())
            reconstructions.append(result.reconstruction.double().sum())
            kls.append(result.kl.double().sum())
            if result.kl_per_dimension is not None:
                dimensions.append(result.kl_per_dimension.double().sum(0))
    return BoundSummary(
        values=torch.cat(bounds).cpu(),
        reconstruction=float(torch.stack(reconstructions).sum() / len(x)),
        kl=float(torch.stack(kls).sum() / len(x)),
        kl_per_dimension=(torch.stack(dimensions).sum(0) / len(x)).cpu() if dimensions else None,
    )

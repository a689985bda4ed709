"""An objective's bound over a whole data set, in chunks, without gradients."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaekit.contracts import as_objective, check_result
from vaekit.evaluation.estimate import Estimate
from vaekit.objectives import Objective
from vaekit.vae import VAE

__all__ = ["BoundSummary", "evaluate_bound"]


class BoundSummary(NamedTuple):
    """A bound and its terms over a data set, in nats.

    Parameters
    ----------
    values
        ``(n,)`` float64: the bound of each example.
    reconstruction, kl
        Means over the examples.
    kl_per_dimension
        ``(latent,)`` float64 means, or None where the KL does not fall apart.
    """

    values: Tensor
    reconstruction: float
    kl: float
    kl_per_dimension: Tensor | None

    @property
    def estimate(self) -> Estimate:
        """Mean of the bound with its standard error, in nats."""
        return Estimate.of(self.values.numpy())


@torch.no_grad()
def evaluate_bound(
    model: VAE, objective: Objective, x: Tensor, *, c: Tensor | None = None, batch_size: int | None = None
) -> BoundSummary:
    """Evaluate the (un-annealed, unweighted) bound of an objective on every example of ``x``.

    Parameters
    ----------
    model, objective
        What to evaluate.
    x
        ``(n, *event)``, at least one example.
    c
        Condition, ``(n, ...)``.
    batch_size
        Examples at a time; by default 1024, divided by the draws the objective takes of each.

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

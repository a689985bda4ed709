"""Divergences between every Gaussian of one batch and every Gaussian of another."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.exceptions import GaussianError, GaussianShapeError
from vaekit.gaussian.kl import deliver, kl_divergence, pair_of
from vaekit.gaussian.mixture import with_dimension
from vaekit.gaussian.renyi_family import bhattacharyya, chi_squared, hellinger
from vaekit.gaussian.symmetric import jeffreys, jensen_shannon
from vaekit.gaussian.transport import wasserstein

__all__ = ["pairwise"]

Name = Literal["kl", "jeffreys", "chi_squared", "bhattacharyya", "hellinger", "jensen_shannon", "wasserstein"]
DIVERGENCES: dict[str, Callable[[Gaussian, Gaussian], Any]] = {
    "kl": kl_divergence,
    "jeffreys": jeffreys,
    "chi_squared": chi_squared,
    "bhattacharyya": bhattacharyya,
    "hellinger": hellinger,
    "jensen_shannon": jensen_shannon,
    "wasserstein": wasserstein,
}
#: Rows are taken together as long as their work arrays hold at most so many numbers.
BLOCK = 2**24


def pairwise(P: Any, Q: Any, *, divergence: Name | Callable[[Gaussian, Gaussian], Any] = "kl") -> Any:
    """Return the matrix (n, m) of divergences between each of n and each of m Gaussians.

    Each covariance is factored once; what follows is done in blocks of rows that fit in memory.

    Parameters
    ----------
    P, Q : Gaussian with batch shape (n,) and (m,), torch distribution, or tuple (means, covariances)
    divergence : str or callable
        "kl", "jeffreys", "chi_squared", "bhattacharyya", "hellinger", "jensen_shannon" (geometric) or
        "wasserstein"; or a function of two Gaussians that broadcasts: ``lambda p, q: renyi(p, q, 2)``.

    Returns
    -------
    tensor or array (n, m)
        In the unit of the divergence.

    Raises
    ------
    GaussianError
        For another name, or batches that are not one-dimensional.

    Examples
    --------
    >>> means = Gaussian([[0.0], [1.0], [3.0]], scale=1.0)
    >>> pairwise(means, means)
    array([[0. , 0.5, 4.5],
           [0.5, 0. , 2. ],
           [4.5, 2. , 0. ]])
    """
    p, q = pair_of(P, Q)
    for name, g in (("P", p), ("Q", q)):
        if len(g.batch_shape) != 1:
            raise GaussianShapeError(
                f"{name} has batch shape {tuple(g.batch_shape)}; expected one dimension, (n,); "
                f"try a mean of shape (n, {g.dimension})"
            )
    if not callable(divergence) and divergence not in DIVERGENCES:
        raise GaussianError(
            f"divergence is {divergence!r}; expected one of {', '.join(DIVERGENCES)} or a function"
        )
    function = divergence if callable(divergence) else DIVERGENCES[divergence]
    n, m, k = p.batch_shape[0], q.batch_shape[0], p.dimension
    rows = max(1, BLOCK // max(1, m * k * k))
    left, right = p.promoted(), q.promoted()
    columns = with_dimension(right, -2)
    blocks: list[Tensor] = [
        torch.as_tensor(function(with_dimension(left[i : i + rows], -1), columns), device=p.device)
        for i in range(0, n, rows)
    ]
    value = torch.cat(blocks) if blocks else torch.zeros((0, m), dtype=torch.float64, device=p.device)
    return deliver(value, p, q)

r"""Draws from the aggregate posterior :math:`q(z) = \frac 1 n \sum_i q(z \mid x_i)`: each row's own, not its mean."""

import torch
from torch import Tensor

from vaekit.vae import VAE

__all__ = ["aggregate_draws"]

_ROWS_AT_ONCE = 4096


@torch.no_grad()
def aggregate_draws(model: VAE, x: Tensor, *, repeats: int = 1, c: Tensor | None = None) -> Tensor:
    r"""Draw from :math:`q(z \mid x_i)` of every row, with torch's global generator.

    Every row has the same number of draws, so their union is a draw from :math:`q(z)` stratified by row.

    Parameters
    ----------
    model
        Anything with ``encode``; it is not changed.
    x
        ``(n, *event)``, in the coordinates of the model.
    repeats
        Draws a row.
    c
        Conditions, ``(n, d)``.

    Returns
    -------
    Tensor
        ``(repeats, n, *latent)``.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8"), (3,), latent=2)
    >>> aggregate_draws(model, torch.zeros(5, 3), repeats=4).shape
    torch.Size([4, 5, 2])
    """
    parts = [
        model.encode(
            x[start : start + _ROWS_AT_ONCE], None if c is None else c[start : start + _ROWS_AT_ONCE]
        ).sample(torch.Size((repeats,)))
        for start in range(0, len(x), _ROWS_AT_ONCE)
    ]
    return torch.cat(parts, 1)

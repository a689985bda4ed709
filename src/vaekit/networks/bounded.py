"""A smooth bound with a gradient everywhere, for the raw log-scales of networks."""

from torch import Tensor

__all__ = ["inverse_soft_bound", "soft_bound"]

_LARGEST = 1e9  # in units of the limit: its square does not overflow, and the gradient there is 1e-27


def soft_bound(raw: Tensor, limit: float = 12.0) -> Tensor:
    r"""Squeeze a real number smoothly into :math:`(-L, L)`.

    .. math:: b(r) = \frac{r}{\sqrt{1 + (r / L)^2}}, \qquad b'(r) = \bigl(1 + (r / L)^2\bigr)^{-3/2} > 0.

    Near zero it is the identity. Far out its gradient decays like a power, not like an exponential, so that a
    log-scale that has become extreme can still return. A log-scale bounded by 12 keeps a standard deviation
    between 6e-6 and 1.6e5 times the scale of the data.

    Parameters
    ----------
    raw
        Any shape.
    limit
        The bound :math:`L > 0`.

    Returns
    -------
    Tensor
        The shape of ``raw``, strictly inside the bounds up to rounding.

    Examples
    --------
    >>> import torch
    >>> soft_bound(torch.tensor([-1e6, 0.0, 0.1, 1e6]))
    tensor([-12.0000,   0.0000,   0.1000,  12.0000])
    """
    raw = raw.clamp(-_LARGEST * limit, _LARGEST * limit)
    scaled = raw / limit
    return raw * (1 + scaled * scaled).rsqrt()


def inverse_soft_bound(bounded: float, limit: float = 12.0) -> float:
    """Return the raw number that :func:`soft_bound` maps to ``bounded``.

    Raises
    ------
    ValueError
        If ``bounded`` is not strictly inside the limits.

    Examples
    --------
    >>> import torch
    >>> soft_bound(torch.tensor(inverse_soft_bound(3.0)))
    tensor(3.0000)
    """
    if not -limit < bounded < limit:
        raise ValueError(f"{bounded:g} is not between {-limit:g} and {limit:g}")
    return bounded / (1 - (bounded / limit) ** 2) ** 0.5

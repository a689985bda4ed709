"""Moments of weighted samples."""

import torch
from torch import Tensor

from vaekit.gaussian.errors import GaussianError
from vaekit.gaussian.validation import check_finite, check_nonnegative, check_shape

__all__ = ["sample_moments"]


def sample_moments(X: Tensor, weights: Tensor | None, correction: int) -> tuple[Tensor, Tensor]:
    """Mean (..., k) and covariance (..., k, k) of samples (..., n, k), computed in float64, in the dtype of
    the samples."""
    check_shape(X.dim() >= 2, f"X has shape {tuple(X.shape)}; expected samples by coordinates (..., n, k)")
    check_finite(X, "X", 2)
    n = X.shape[-2]
    if weights is None:
        weights = torch.ones(X.shape[:-1], dtype=X.dtype, device=X.device)
    else:
        check_shape(
            weights.shape[-1:] == X.shape[-2:-1],
            f"weights have shape {tuple(weights.shape)} but X has {n} samples; expected one weight per "
            f"sample, (..., {n})",
        )
        check_nonnegative(weights, "weights", 1)
    w = weights.double()
    total = w.sum(-1)
    divisor = total - correction * w.square().sum(-1) / total
    if bool((~(divisor > 0)).any()):
        raise GaussianError(
            f"a covariance with correction {correction} needs more than {correction} samples of positive "
            f"weight; X has {n}; "
            "try correction=0 for the maximum-likelihood covariance"
        )
    x = X.double()
    mean = (w.unsqueeze(-1) * x).sum(-2) / total.unsqueeze(-1)
    centred = x - mean.unsqueeze(-2)
    # The weighted mean of the centred samples is rounding error: take it away from both.
    shift = (w.unsqueeze(-1) * centred).sum(-2) / total.unsqueeze(-1)
    centred = centred - shift.unsqueeze(-2)
    covariance = (w.unsqueeze(-1) * centred).mT @ centred / divisor[..., None, None]
    covariance = 0.5 * (covariance + covariance.mT)
    return (mean + shift).to(X.dtype), covariance.to(X.dtype)

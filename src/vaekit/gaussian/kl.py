r"""The Kullback-Leibler divergence between Gaussians, by an accurate and short way for each pair.

$$ \mathrm{KL}(p \| q) = \tfrac12 \left( \operatorname{tr}(S_q^{-1} S_p)
   + (m_p - m_q)^\top S_q^{-1} (m_p - m_q) + \log \det S_q - \log \det S_p - k \right) $$
subtracts k from a sum that is nearly k when p and q are close. It is never computed that way here: `dense`
has the sum of non-negative terms that takes its place, `diagonal` the elementwise case, and `low_rank` the
one for covariances that are too large to be written out.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.gaussian.common_support import mended
from vaekit.gaussian.dense import LARGEST_ESCALATED, Plan, quantities
from vaekit.gaussian.dense_gradients import differentiable_divergence
from vaekit.gaussian.diagonal import diagonal_divergence
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.error_bound import dense_bound, finished_bound
from vaekit.gaussian.exceptions import GaussianError, GaussianTypeError
from vaekit.gaussian.low_rank import low_rank_bound, low_rank_divergence
from vaekit.gaussian.many import LARGEST_COMPILED, many_divergence, single_divergence, use_many
from vaekit.gaussian.parameters import check_one_kind, check_shape, finish, is_concrete

__all__ = ["as_gaussian", "deliver", "dense_inputs", "kl_divergence", "pair_of"]

Precision = Literal["auto", "fast", "exact"]
OnError = Literal["raise", "nan"]


def kl_divergence(
    p: Any,
    q: Any,
    *,
    precision: Precision = "auto",
    return_error: bool = False,
    on_error: OnError = "raise",
) -> Any:
    r"""Return `KL(p || q)` in nats, never negative, and exactly 0 for equal arguments.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Of the same dtype and dimension; batches broadcast. Everything is computed in float64.
    precision : "auto", "fast" or "exact"
        "fast" is float64 throughout. "exact" is double-double (about 32 digits, and some 50 times the time):
        right to the last digit for the bits that were given. "auto" is "fast", with those items in
        double-double that float64 would get wrong: those whose factorisation cancels three digits or more
        (for float32 arguments seven), up to dimension 64, close pairs in different parameterisations, and
        low-rank pairs that cancel.
    return_error : bool
        Return also a bound on the absolute error of the value, (...).
    on_error : "raise" or "nan"
        What to do about an item that is not a Gaussian (not finite, not symmetric, not positive
        semidefinite): raise an error that names it, or return NaN for it alone.

    Returns
    -------
    array (...)
        Of the dtype of the arguments (float32 for float16 and bfloat16); NumPy where both came as NumPy. It
        is inf where p gives mass to what q excludes: for a singular q, unless both have the same support.

    Raises
    ------
    GaussianError
        An argument that cannot be used; the message names it, the batch index and what to try.

    References
    ----------
    Kullback and Leibler, "On information and sufficiency", 1951; T. M. Cover and J. A. Thomas, "Elements of
    Information Theory", 2006, chapter 8.

    Examples
    --------
    >>> from vaekit.gaussian import Gaussian
    >>> p = Gaussian([0.0, 1.0], covariance=[[2.0, 0.5], [0.5, 1.0]])
    >>> q = Gaussian([0.0, 0.0], variance=[1.0, 1.0])
    >>> kl_divergence(p, q).round(6)
    np.float64(0.720192)
    >>> kl_divergence(p, p)
    np.float64(0.0)
    """
    if precision not in ("auto", "fast", "exact") or on_error not in ("raise", "nan"):
        raise GaussianError(
            f"precision={precision!r}, on_error={on_error!r}; expected precision 'auto', 'fast' or 'exact' and "
            "on_error 'raise' or 'nan'"
        )
    p, q = as_gaussian(p, "p", validate=False), as_gaussian(q, "q", validate=False)
    same_kind(p, q)
    value, regular = divergence(p.promoted(), q.promoted(), precision)
    if not regular and is_concrete(value):
        regular = value.isfinite().all() and not (p.has_asymmetric() or q.has_asymmetric())
        value = value if regular else mended(value, p, q, on_error)
    half = p.dtype in (torch.float16, torch.bfloat16)
    rounded = value.to(torch.float32 if half else p.dtype)
    to_numpy = p.from_numpy and q.from_numpy
    if not return_error:
        return finish(rounded, to_numpy)
    with torch.no_grad():
        bound = error_of(p.promoted(), q.promoted(), value.detach(), precision)
        bound = finished_bound(bound, value.detach(), rounded.detach(), p.dimension)
    return finish(rounded, to_numpy), finish(bound.to(rounded.dtype), to_numpy)


def divergence(p: Gaussian, q: Gaussian, precision: Precision) -> tuple[Tensor, bool]:
    """Return the value in float64, NaN or inf where not regular, and whether all items are known to be regular."""
    way = way_of(p, q)
    if way == "diagonal":
        return diagonal_divergence(p, q), False
    if way == "low_rank":
        return low_rank_divergence(p, q, precision), False
    if p.parameterisation == q.parameterisation == "covariance" and p.dimension <= LARGEST_COMPILED:
        tensors = tuple(g.parameters[name] for name in ("mean", "covariance") for g in (p, q))
        plan = Plan("covariance", "covariance", 1, precision, is_single(p, q))
        if use_many(precision, tensors):
            return many_divergence(plan, tensors)
        single = single_divergence(plan, tensors)
        if single is not None:
            return single, True
    plan, tensors = dense_inputs(p, q, precision)
    if (torch.is_grad_enabled() and any(t.requires_grad for t in tensors)) or not is_concrete(*tensors):
        return differentiable_divergence(plan, *tensors), False
    return quantities(plan, tensors)[0], False


def error_of(p: Gaussian, q: Gaussian, value: Tensor, precision: Precision) -> Tensor:
    """Return a bound on the error of the value in float64, (...)."""
    way = way_of(p, q)
    if way == "dense":
        return dense_bound(*dense_inputs(p, q, precision), value)
    return low_rank_bound(p, q, precision, value) if way == "low_rank" else torch.zeros_like(value)


def way_of(p: Gaussian, q: Gaussian) -> Literal["diagonal", "low_rank", "dense"]:
    """Return the name of the algorithm that a pair takes, by the structure of both."""
    structures = {p.structure, q.structure}
    if structures <= {"diagonal", "isotropic"}:
        return "diagonal"
    if "full" in structures or p.dimension <= LARGEST_ESCALATED:
        return "dense"
    # Woodbury's identity pays while the ranks are small beside the dimension, and holds while no diagonal has
    # a zero.
    low_rank = [g for g in (p, q) if g.structure == "low_rank"]
    small = all(2 * g.parameters["factor"].shape[-1] <= g.dimension for g in low_rank)
    return "low_rank" if small and not any(g.has_zero_on_diagonal() for g in low_rank) else "dense"


def dense_inputs(p: Gaussian, q: Gaussian, precision: Precision) -> tuple[Plan, tuple[Tensor, ...]]:
    """Return the plan and the tensors of the dense algorithm."""
    theta_p, theta_q = (tuple(g.parameters.values())[1:] for g in (p, q))
    factors = (g.known_factor() for g in (p, q))
    plan = Plan(p.parameterisation, q.parameterisation, len(theta_p), precision, is_single(p, q), *factors)
    return plan, (p.parameters["mean"], q.parameters["mean"], *theta_p, *theta_q)


def is_single(p: Gaussian, q: Gaussian) -> bool:
    """Return whether the result is wanted to the digits of float32 only."""
    return max(p.resolution, q.resolution) > torch.finfo(torch.float64).eps


def as_gaussian(value: Any, name: str, *, validate: bool = True) -> Gaussian:
    """Return a Gaussian from a Gaussian, a torch distribution, or a tuple of mean and covariance.

    A second entry of the size of the mean, (..., k), with fewer dimensions than a matrix would have is
    refused: variances are given as ``Gaussian(mean, variance=...)``.
    """
    if isinstance(value, Gaussian):
        return value
    if isinstance(value, Distribution):
        return Gaussian.from_torch(value, validate=validate)
    if isinstance(value, tuple) and len(value) == 2:
        mean, covariance = value
        if not validate and isinstance(mean, Tensor) and isinstance(covariance, Tensor):
            return Gaussian.from_tensors({"mean": mean, "covariance": covariance}, validated=False)
        return Gaussian(mean, covariance=covariance, validate=validate)
    raise GaussianTypeError(
        f"{name} is {type(value).__name__}; expected a vaekit.gaussian.Gaussian, a torch distribution "
        "(Independent(Normal, 1), MultivariateNormal or LowRankMultivariateNormal) or a tuple (mean, covariance)"
    )


def same_kind(p: Gaussian, q: Gaussian) -> None:
    """Refuse a pair of different dtypes, devices or dimensions."""
    check_one_kind({"p": p.parameters["mean"], "q": q.parameters["mean"]})
    check_shape(
        p.dimension == q.dimension,
        f"p is over vectors of size {p.dimension} but q over size {q.dimension}; expected the same size",
    )


def pair_of(p: Any, q: Any) -> tuple[Gaussian, Gaussian]:
    """Return two Gaussians of one size, dtype and device from whatever stands for one.

    Raise a GaussianError.
    """
    first, second = as_gaussian(p, "p"), as_gaussian(q, "q")
    same_kind(first, second)
    return first, second


def deliver(value: Tensor, p: Gaussian, q: Gaussian) -> Any:
    """Return the value in the dtype of the pair (float32 for half precision), in NumPy where both came as NumPy."""
    half = p.dtype in (torch.float16, torch.bfloat16)
    return finish(value.to(torch.float32 if half else p.dtype), p.from_numpy and q.from_numpy)

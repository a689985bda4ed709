r"""The Kullback-Leibler divergence between Gaussians, by an accurate and short way for each pair.

$$ \mathrm{KL}(p \| q) = \tfrac12 \left( \operatorname{tr}(S_q^{-1} S_p)
   + (m_p - m_q)^\top S_q^{-1} (m_p - m_q) + \log \det S_q - \log \det S_p - k \right) $$
subtracts k from a sum that is nearly k when p and q are close. It is never computed that way here:
`triangular` has
the sum of non-negative terms that takes its place, `diagonal` the elementwise case, and `low_rank` the one by
Woodbury's identity.
"""

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from vaekit.gaussian.batched import batched_divergence, fits_batched
from vaekit.gaussian.conversion import as_gaussian, same_kind
from vaekit.gaussian.dense import dense_divergence
from vaekit.gaussian.dense_plan import Plan
from vaekit.gaussian.diagonal import diagonal_divergence
from vaekit.gaussian.errors import GaussianError
from vaekit.gaussian.low_rank import low_rank_divergence
from vaekit.gaussian.parameters import finish
from vaekit.gaussian.quick import quick_divergence
from vaekit.gaussian.singular import mend_failures
from vaekit.gaussian.small import small_divergence
from vaekit.gaussian.validation import is_concrete

if TYPE_CHECKING:
    from vaekit.gaussian.distribution import Gaussian

__all__ = ["kl_divergence"]

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
    r"""`KL(p || q)` in nats, never negative, and exactly 0 for equal arguments.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Of the same dtype and dimension; batches broadcast. Everything is computed in float64.
    precision : "auto", "fast" or "exact"
        "fast" is float64 throughout. "exact" is double-double (about 32 digits, and some 50 times the time):
        right to
        the last digit for the bits that were given. "auto" is "fast", with those items in double-double that
        float64
        would get wrong (covariances ill-conditioned beyond 1e7 or so, up to dimension 64; close pairs in
        different parameterisations).
    return_error : bool
        Return also a bound on the absolute error of the value, (...).
    on_error : "raise" or "nan"
        What to do about an item that is not a Gaussian (not finite, not symmetric, not positive
        semidefinite):
        raise, naming it, or return NaN for it alone.

    Returns
    -------
    array (...)
        Of the dtype of the arguments (float32 for float16 and bfloat16); NumPy where both came as NumPy. It
        is inf where
        p gives mass to what q excludes: a singular q, unless both have the same support.

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
            f"precision={precision!r}, on_error={on_error!r}; expected precision 'auto', 'fast' or 'exact' "
            "and "
            "on_error 'raise' or 'nan'"
        )
    quick = None if return_error else quick_divergence(p, q, precision)
    if quick is not None and quick[1]:
        return quick[0]
    p, q = as_gaussian(p, "p", validate=False), as_gaussian(q, "q", validate=False)
    same_kind(p, q)
    value, checked = quick or divergence(p.promoted(), q.promoted(), precision)
    if is_concrete(value):
        value = mend_failures(value, p, q, on_error, checked)
    dtype = torch.float32 if p.dtype in (torch.float16, torch.bfloat16) else p.dtype
    to_numpy = p.from_numpy and q.from_numpy
    if return_error:
        from vaekit.gaussian.error_bound import error_bound

        rounded = value.to(dtype)
        bound = error_bound(p.promoted(), q.promoted(), value, rounded, precision)
        return finish(rounded, to_numpy), finish(bound.to(dtype), to_numpy)
    return finish(value.to(dtype), to_numpy)


def divergence(p: "Gaussian", q: "Gaussian", precision: Precision) -> tuple[Tensor, bool]:
    """The value in float64, NaN or inf where not regular; and whether matrices are known to be symmetric."""
    way = way_of(p, q)
    if way == "diagonal":
        return diagonal_divergence(p, q), True
    if way == "low_rank":
        return low_rank_divergence(p, q, precision), True
    tensors = tuple(
        g.parameters[name] for name in ("mean", "covariance") for g in (p, q) if name in g.parameters
    )
    if len(tensors) == 4 and is_concrete(*tensors):
        means_and_covariances = (tensors[0], tensors[1], tensors[2], tensors[3])
        single = small_divergence(precision, means_and_covariances)
        if single is not None:
            return single, True
        if fits_batched(means_and_covariances, precision):
            return batched_divergence(precision, means_and_covariances)
    plan, tensors = dense_inputs(p, q, precision)
    return dense_divergence(plan, *tensors), False


def way_of(p: "Gaussian", q: "Gaussian") -> Literal["diagonal", "low_rank", "dense"]:
    """Which algorithm a pair takes, by the structure of both."""
    structures = {p.structure, q.structure}
    if structures <= {"diagonal", "isotropic"}:
        return "diagonal"
    if "full" in structures:
        return "dense"
    # Woodbury pays while the ranks are small beside the dimension, and holds while no diagonal has a zero.
    low_rank = [g for g in (p, q) if g.structure == "low_rank"]
    small = all(2 * g.parameters["factor"].shape[-1] <= g.dimension for g in low_rank)
    return "low_rank" if small and not any(g.has_zero_on_diagonal() for g in low_rank) else "dense"


def dense_inputs(p: "Gaussian", q: "Gaussian", precision: Precision) -> tuple[Plan, tuple[Tensor, ...]]:
    """The plan and the tensors of the autograd function."""
    theta_p, theta_q = (tuple(g.parameters.values())[1:] for g in (p, q))
    factors = (usable_factor(g) for g in (p, q))
    plan = Plan(p.parameterisation, q.parameterisation, len(theta_p), precision, *factors)
    return plan, (p.parameters["mean"], q.parameters["mean"], *theta_p, *theta_q)


def usable_factor(g: "Gaussian") -> Tensor | None:
    """The cached factor of a covariance or precision, where values may be looked at."""
    has_factor = g.parameterisation in ("covariance", "precision", "factor")
    return g.matrix_factor() if has_factor and is_concrete(*g.parameters.values()) else None

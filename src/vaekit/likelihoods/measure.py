"""What a likelihood measures by: what may be compared with what.

A density (nats per unit of the data) and a probability (nats) must never be compared. Every likelihood class
says in ``measure`` which it gives, and in ``scaling`` in which coordinates it wants its data:

=========== ======================================================= =============== ==========================
``measure`` :math:`\\exp \\log p(x \\mid z)` is                       ``scaling``     likelihoods
=========== ======================================================= =============== ==========================
density     a density over real numbers                             standardize     gaussian, laplace, ...
density     a density over [0, 1]                                   unit            continuous-bernoulli
unit        a probability of zeros and ones (or a pseudo-likelihood unit            bernoulli
            of grey levels)
counts      a probability of whole numbers 0, 1, 2, ...             none            poisson, ...
levels      a probability of whole numbers 0, ..., levels - 1       none            categorical, ...
mixed       a density of some columns, a probability of the others  mixed           mixed
none        nothing: it scores for training, without a likelihood   unit            ms-ssim
=========== ======================================================= =============== ==========================
"""

from typing import Literal

__all__ = ["Measure", "require_no_jacobian"]

Measure = Literal["density", "unit", "counts", "levels", "mixed", "none"]


def require_no_jacobian(kind: str, log_jacobian: float) -> None:
    """Refuse a log-Jacobian where a likelihood gives probabilities.

    Raises
    ------
    ValueError
        If ``log_jacobian`` is not 0.

    Examples
    --------
    >>> require_no_jacobian("poisson", 1.5)
    Traceback (most recent call last):
    ValueError: poisson: log_jacobian=1.5, but a probability has no units; give 0
    """
    if log_jacobian:
        raise ValueError(f"{kind}: log_jacobian={log_jacobian:g}, but a probability has no units; give 0")

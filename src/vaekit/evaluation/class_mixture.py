r"""Mixtures over classes: a Gaussian of some columns and the frequencies of the codes of others, in each class.

.. math:: \log p(t, y) = \log \sum_k \pi_k\, \mathcal N(t; \mu_k, \Sigma_k) \prod_j p_{jk}(y_j)

The classes are those of a column, or latent and found by expectation maximisation (McLachlan and Peel, 2000, "Finite
Mixture Models", section 3.2). Covariances are drawn towards the pooled one, as if it had been seen in one row more, and
frequencies towards those of all rows.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

__all__ = ["ClassMixture", "Rows", "expectation_maximisation", "fit_classes"]

_Array = npt.NDArray[np.float64]

_RIDGE = 1e-6
_STEPS = 40  # of expectation maximisation, at most
_CLUSTERED = 2_000  # rows among which clusters are looked for


class Rows(NamedTuple):
    """Rows of numbers and codes.

    Parameters
    ----------
    scores
        ``(n, numbers)``, standardised; NaN where they are missing.
    codes
        ``(n, codes of all columns)``: a sparse 1 for the code of each column.
    """

    scores: _Array
    codes: sparse.csr_array

    def take(self, rows: npt.NDArray[np.int64]) -> "Rows":
        """Return some of the rows."""
        return Rows(self.scores[rows], self.codes[rows])


@dataclass(frozen=True)
class ClassMixture:
    """A mixture over classes.

    Parameters
    ----------
    log_weights
        ``(classes,)``.
    means
        ``(classes, numbers)``.
    factors
        ``(classes, numbers, numbers)``: Cholesky factors of the covariances.
    log_shares
        ``(classes, codes)``.
    """

    log_weights: _Array
    means: _Array
    factors: _Array
    log_shares: _Array

    def joint(self, rows: Rows) -> _Array:
        """Return the joint log-density of each row and class, ``(n, classes)`` in nats."""
        found = self.log_weights + rows.codes @ self.log_shares.T
        t, known = rows.scores, np.isfinite(rows.scores)
        if not t.shape[1]:
            return found
        complete = bool(known.all())
        for k, (mean, factor) in enumerate(zip(self.means, self.factors, strict=True)):
            scales = factor.diagonal()
            if complete:
                inverse = solve_triangular(factor, np.eye(len(mean)), lower=True)
                whitened = (t - mean) @ inverse.T
                found[:, k] -= 0.5 * np.einsum("ij,ij->i", whitened, whitened) + np.log(scales).sum()
            else:  # covariances are diagonal
                whitened = np.where(known, (t - mean) / scales, 0.0)
                found[:, k] -= 0.5 * np.square(whitened).sum(1) + known @ np.log(scales)
        return found - 0.5 * np.log(2 * np.pi) * known.sum(1, keepdims=True)

    def log_density(self, rows: Rows) -> _Array:
        """Return log-densities, ``(n,)`` in nats."""
        return np.asarray(logsumexp(self.joint(rows), axis=1))


def fit_classes(rows: Rows, shares: _Array, memberships: _Array) -> ClassMixture:
    """Fit a mixture whose classes are known, perhaps in part.

    Parameters
    ----------
    rows
        Training rows.
    shares
        The frequency of every code among all rows.
    memberships
        ``(n, classes)``: how much of each row belongs to each class.

    Examples
    --------
    >>> t = np.array([[-1.1], [-0.9], [0.9], [1.1]])
    >>> rows = Rows(t, sparse.csr_array((4, 0)))
    >>> fit_classes(rows, np.empty(0), np.repeat(np.eye(2), 2, axis=0)).means.tolist()
    [[-1.0], [1.0]]
    """
    classes, size = memberships.shape[1], memberships.sum(0)
    weights = (size + 1 / classes) / (size.sum() + 1)
    counts = np.asarray((rows.codes.T @ memberships).T)
    log_shares = np.log((counts + shares) / (size[:, None] + 1))
    known = np.isfinite(rows.scores)
    t, numbers = np.where(known, rows.scores, 0.0), rows.scores.shape[1]
    observed = memberships.T @ known
    means = (memberships.T @ t) / np.maximum(observed, 1e-9)
    scatter = np.zeros((classes, numbers, numbers))
    diagonal = not known.all()
    for k in range(classes):
        centred = np.where(known, t - means[k], 0.0)
        weighted = memberships[:, k, None] * centred
        scatter[k] = np.diag((weighted * centred).sum(0)) if diagonal else weighted.T @ centred
    pooled = scatter.sum(0) / max(len(t), 1) + _RIDGE * np.eye(numbers)
    prior = 1.0 if classes > 1 else 0.0
    covariances = (scatter + prior * pooled) / (size + prior).clip(1e-9)[:, None, None]
    covariances += _RIDGE * np.eye(numbers)
    return ClassMixture(np.log(weights), means, np.linalg.cholesky(covariances), log_shares)


def expectation_maximisation(
    rows: Rows, shares: _Array, classes: int, seed: int, *, enough: float = 1e-3
) -> ClassMixture:
    """Fit a mixture of latent classes, from the clusters of k-means among 2,000 of the rows.

    Parameters
    ----------
    rows, shares
        As for :func:`fit_classes`.
    classes
        Their number.
    seed
        The seed of the clusters.
    enough
        Nats a row that a step must gain for another one to follow.

    Examples
    --------
    >>> t = np.concatenate([np.full((50, 1), -1.0), np.full((50, 1), 1.0)])
    >>> mixture = expectation_maximisation(Rows(t, sparse.csr_array((100, 0))), np.empty(0), 2, seed=0)
    >>> sorted(mixture.means.round(3).ravel().tolist())
    [-1.0, 1.0]
    """
    from sklearn.cluster import KMeans

    features = np.hstack([np.nan_to_num(rows.scores), rows.codes.toarray()]).astype(np.float32)
    some = features[np.random.default_rng(seed).permutation(len(features))[:_CLUSTERED]]
    clusters = KMeans(classes, n_init=3, max_iter=20, random_state=seed).fit(some)  # pyright: ignore[reportArgumentType]
    found = clusters.predict(features)
    mixture = fit_classes(rows, shares, 0.9 * np.eye(classes)[found] + 0.1 / classes)
    previous = -np.inf
    for _ in range(_STEPS):
        joint = mixture.joint(rows)
        evidence = np.asarray(logsumexp(joint, axis=1, keepdims=True))
        if evidence.mean() - previous < enough:
            break
        previous = evidence.mean()
        mixture = fit_classes(rows, shares, np.exp(joint - evidence))
    return mixture

r"""Principal components of whole numbers: the linear model that a decoder of levels has to beat.

.. math:: z \sim N(0, I_k), \qquad p(x_i \mid z) = \Phi\!\left(\frac{x_i + \frac12 - m_i}{\sigma_i}\right)
          - \Phi\!\left(\frac{x_i - \frac12 - m_i}{\sigma_i}\right), \qquad m = \mu + W z

with bins open at both ends, so that it gives probabilities of the levels 0 to L - 1, as discretised likelihoods do.
:math:`W` is that of probabilistic principal components (Tipping and Bishop, 1999, equation 7). The noise is their one
:math:`\sigma`, or for each dimension the variance that the components leave (principal factors), to which Sheppard's
1/12 is added.

:math:`\log p(x)` is estimated by importance samples from a Gaussian at the mode of the posterior, with the curvature
there (Laplace's approximation).
"""

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from vaekit.evaluation.column_baselines import log_normal_mass

__all__ = ["component_baselines"]

_Array = npt.NDArray[np.float64]

_WORK, _FEWEST, _MOST = 20_000_000, 4, 50  # masses to compute; importance samples a row
_MOST_ROWS = 10_000  # to learn components from
_BLOCK = 2_000_000
_STEPS = 20  # of expectation maximisation


def component_baselines(
    train: _Array, held_out: _Array, levels: int, components: int, seed: int = 0
) -> list[tuple[str, _Array]]:
    """Fit principal components, with one noise and with one for each dimension, and evaluate their discretisation.

    Parameters
    ----------
    train, held_out
        ``(n, columns)`` whole numbers from 0 to ``levels - 1``.
    levels
        The number of levels.
    components
        The number of components, at most one less than columns and rows.
    seed
        The seed of the rows that are learned from, where there are many, and of the importance samples.

    Returns
    -------
    list of (str, ndarray)
        Names, and estimates of log-probabilities ``(n,)`` of the held-out rows in nats.

    Examples
    --------
    Without a correlation there is nothing for components to find:

    >>> x = np.random.default_rng(0).integers(4, size=(400, 3)).astype(float)
    >>> for name, values in component_baselines(x[:200], x[200:], 4, 1):
    ...     print(name, round(float(values.mean() / np.log(4))))
    discretized PCA (1 component) -3
    discretized principal factors (1) -3
    """
    rng = np.random.default_rng(seed)
    rows = train[rng.permutation(len(train))[:_MOST_ROWS]]
    components = min(components, rows.shape[1] - 1, len(rows) - 1)
    if components < 1:
        return []
    mean = rows.mean(0)
    _, singular, vectors = np.linalg.svd(rows - mean, full_matrices=False)
    variances = singular**2 / len(rows)
    left = float(variances[components:].sum()) / (rows.shape[1] - components)
    loadings = vectors[:components].T * np.sqrt(np.maximum(variances[:components] - left, 0.0))
    own = np.maximum(rows.var(0) - (loadings**2).sum(1), 0.0) + 1 / 12
    name = f"discretized PCA ({components} component{'s'[: components > 1]})"
    noises = {
        name: np.full(rows.shape[1], max(left, 1 / 12)),
        f"discretized principal factors ({components})": own,
    }
    samples = int(np.clip(_WORK // max(held_out.size, 1), _FEWEST, _MOST))
    return [
        (name, _log_probability(held_out, mean, loadings, noise, levels, samples, rng))
        for name, noise in noises.items()
    ]


def _log_probability(
    x: _Array,
    mean: _Array,
    loadings: _Array,
    noise: _Array,
    levels: int,
    samples: int,
    rng: np.random.Generator,
) -> _Array:
    """Estimate log-probabilities ``(n,)`` by importance sampling."""
    deviation, found = np.sqrt(noise), np.empty(len(x))
    step = max(1, _BLOCK // (samples * x.shape[1]))
    for start in range(0, len(x), step):
        block = x[start : start + step]
        bins = (
            np.where(block == 0, -np.inf, block - 0.5),
            np.where(block == levels - 1, np.inf, block + 0.5),
        )
        mode, factor = _posterior(block, bins, mean, loadings, noise)
        standard = rng.normal(size=(samples, *mode.shape))
        z = mode + np.linalg.solve(np.swapaxes(factor, 1, 2), standard[..., None])[..., 0]
        location = mean + z @ loadings.T
        mass = log_normal_mass(*((edge - location) / deviation for edge in bins)).sum(-1)
        log_q = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(-1) - 0.5 * (standard**2).sum(-1)
        log_weight = mass - 0.5 * (z**2).sum(-1) - log_q  # the constants of prior and proposal cancel
        found[start : start + step] = np.asarray(logsumexp(log_weight, axis=0)) - np.log(samples)
    return found


def _posterior(
    x: _Array, bins: tuple[_Array, _Array], mean: _Array, loadings: _Array, noise: _Array
) -> tuple[_Array, _Array]:
    """Return the mode of each row's posterior ``(n, k)``, and the Cholesky factor of the precision there ``(n, k, k)``.

    The mode is that of expectation maximisation over the numbers that were rounded.
    """
    weighted, deviation = loadings / noise[:, None], np.sqrt(noise)
    complete = np.eye(loadings.shape[1]) + loadings.T @ weighted
    mode = np.linalg.solve(complete, ((x - mean) @ weighted).T).T
    for _ in range(_STEPS):
        location = mean + mode @ loadings.T
        rounded, _ = _truncated(*((edge - location) / deviation for edge in bins))
        mode = np.linalg.solve(complete, ((location + deviation * rounded - mean) @ weighted).T).T
    location = mean + mode @ loadings.T
    _, variance = _truncated(*((edge - location) / deviation for edge in bins))
    curvature = np.clip(1 - variance, 1e-3, 1) / noise
    precision = np.einsum("ik,ni,il->nkl", loadings, curvature, loadings, optimize=True)
    return np.asarray(mode, float), np.linalg.cholesky(precision + np.eye(loadings.shape[1]))


def _truncated(lower: _Array, upper: _Array) -> tuple[_Array, _Array]:
    """Return mean and variance of a standard normal number that is known to lie between two points."""
    mass = log_normal_mass(lower, upper)
    at_lower, at_upper = (
        np.exp(-0.5 * np.where(np.isinf(edge), 0, edge) ** 2 - 0.5 * np.log(2 * np.pi) - mass)
        * ~np.isinf(edge)
        for edge in (lower, upper)
    )
    mean = at_lower - at_upper
    slope = np.where(np.isinf(lower), 0, lower) * at_lower - np.where(np.isinf(upper), 0, upper) * at_upper
    return mean, 1 + slope - mean**2

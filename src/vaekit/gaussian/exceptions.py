"""The errors of this room. Each message says what was given, what was expected and what to try."""

__all__ = [
    "AsymmetricCovarianceError",
    "GaussianError",
    "GaussianShapeError",
    "GaussianTypeError",
    "MissingAccelerationError",
    "NotPositiveDefiniteError",
    "SingularCovarianceError",
]


class GaussianError(ValueError):
    """Base of the errors about a Gaussian's parameters; ``batch_index`` is the first bad item, if any."""

    def __init__(self, message: str, *, batch_index: tuple[int, ...] | None = None) -> None:
        super().__init__(message)
        self.batch_index = batch_index


class GaussianShapeError(GaussianError):
    """Shapes that do not fit each other."""


class GaussianTypeError(GaussianError, TypeError):
    """Dtypes or devices that do not fit each other, or an object that is not a Gaussian."""


class AsymmetricCovarianceError(GaussianError):
    """A covariance or precision that is not symmetric, relative to its own size."""


class NotPositiveDefiniteError(GaussianError):
    """A covariance, precision, variance or scale that is not positive (semi)definite.

    ``leading_minor`` is the order of the first leading minor that is not positive, ``smallest_eigenvalue``
    that of the matrix; both are None where the parameter is not a matrix.
    """

    def __init__(
        self,
        message: str,
        *,
        batch_index: tuple[int, ...] | None = None,
        leading_minor: int | None = None,
        smallest_eigenvalue: float | None = None,
    ) -> None:
        super().__init__(message, batch_index=batch_index)
        self.leading_minor = leading_minor
        self.smallest_eigenvalue = smallest_eigenvalue


class SingularCovarianceError(GaussianError):
    """An operation that needs a density, asked of a Gaussian whose covariance is singular."""


class MissingAccelerationError(ImportError):
    """numba was asked for by name and is not installed."""

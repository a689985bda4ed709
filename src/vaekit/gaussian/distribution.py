r"""The multivariate Gaussian in every usual parameterisation.

$$ \log \mathcal N(x; m, S) = -\tfrac12 \left( (x-m)^\top S^{-1} (x-m) + \log\det S + k \log 2\pi \right) $$

A `Gaussian` keeps what it was given (a variance stays a vector, a low-rank factor stays `k x r`) and computes
the rest when it is asked for, once. Tensors in give tensors out, NumPy arrays in give NumPy arrays out. What
needs accuracy is computed in float64 and returned in the dtype of the input.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from vaekit.gaussian import moments
from vaekit.gaussian.exceptions import GaussianError
from vaekit.gaussian.parameters import (
    ArrayLike,
    as_tensors,
    check_one_kind,
    check_shape,
    finish,
)
from vaekit.gaussian.state import GaussianState

__all__ = ["ArrayLike", "Gaussian", "present"]


def present(tensor: Tensor, *gaussians: "Gaussian") -> Any:
    """Return the tensor as it is, or as a NumPy array where every Gaussian involved was made from NumPy."""
    return tensor.detach().numpy()[()] if all(g.from_numpy for g in gaussians) else tensor


class Gaussian(GaussianState):
    """A batch of Gaussians over vectors of size k.

    Exactly one parameterisation of the covariance is given:

    Parameters
    ----------
    mean : array (..., k)
    covariance : array (..., k, k), symmetric, positive semidefinite
    scale_tril : array (..., k, k), lower triangular factor `L` of the covariance `L L^T`
    precision : array (..., k, k), the inverse covariance, symmetric, positive definite
    variance, standard_deviation : array (..., k), a diagonal covariance
    scale : array (...), the standard deviation of an isotropic covariance `scale^2 I`
    factor, diagonal : arrays (..., k, r) and (..., k), the covariance `factor factor^T + diag(diagonal)`
    validate : bool
        Look at the values now (finite, symmetric, positive definite) and raise. Otherwise shapes and dtypes
        only; a bad item then gives NaN. Values are never looked at inside `torch.compile` or
        `torch.func.vmap`.

    Raises
    ------
    GaussianShapeError, GaussianTypeError, AsymmetricCovarianceError, NotPositiveDefiniteError
        All are `ValueError`; the message names the argument, the batch index and what to try.

    Examples
    --------
    >>> p = Gaussian([0.0, 1.0], covariance=[[2.0, 0.5], [0.5, 1.0]])
    >>> p
    Gaussian(covariance, dimension=2, batch_shape=(), dtype=float64)
    >>> p.log_prob([0.0, 0.0]).round(6)
    np.float64(-2.689114)
    >>> Gaussian(torch.zeros(3, 2), scale=torch.ones(3)).entropy()
    tensor([2.8379, 2.8379, 2.8379])
    """

    def __init__(
        self,
        mean: ArrayLike,
        *,
        covariance: ArrayLike | None = None,
        scale_tril: ArrayLike | None = None,
        precision: ArrayLike | None = None,
        variance: ArrayLike | None = None,
        standard_deviation: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        factor: ArrayLike | None = None,
        diagonal: ArrayLike | None = None,
        validate: bool = True,
    ) -> None:
        given = {
            "covariance": covariance,
            "scale_tril": scale_tril,
            "precision": precision,
            "variance": variance,
            "standard_deviation": standard_deviation,
            "scale": scale,
            "factor": factor,
        }
        named = [name for name, value in given.items() if value is not None]
        if len(named) != 1 or (factor is None) != (diagonal is None):
            got = ", ".join([*named, *(["diagonal"] if diagonal is not None else [])]) or "none"
            raise GaussianError(
                "expected exactly one parameterisation of the covariance, of: covariance, scale_tril, "
                f"precision, variance, standard_deviation, scale, or factor together with diagonal; got {got}"
            )
        raw = {"mean": mean, named[0]: given[named[0]]} | ({} if diagonal is None else {"diagonal": diagonal})
        tensors, from_numpy = as_tensors(raw)
        self._setup(tensors, from_numpy, None)
        if validate:
            self.validate()

    # Other ways to make one
    # ------------------------------------------------------------------------------------

    @classmethod
    def standard(
        cls, dimension: int, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Self:
        """Return `N(0, I)` over vectors of the given size.

        >>> Gaussian.standard(3)
        Gaussian(scale, dimension=3, batch_shape=(), dtype=float32)
        """
        if dimension < 1:
            raise GaussianError(f"dimension is {dimension}; expected at least 1")
        mean = torch.zeros(dimension, dtype=dtype, device=device)
        return cls.from_tensors({"mean": mean, "scale": torch.ones((), dtype=mean.dtype, device=device)})

    @classmethod
    def from_samples(cls, X: ArrayLike, weights: ArrayLike | None = None, *, correction: int = 1) -> Self:
        """Sample mean and sample covariance of the rows of `X`.

        `S = sum_i w_i (x_i - m)(x_i - m)^T / (W - correction * sum_i w_i^2 / W)`, `W = sum_i w_i`, which for
        equal weights is the usual division by `n - correction`.

        Parameters
        ----------
        X : array (..., n, k)
        weights : array (..., n), at least 0, of any sum
        correction : int
            1 for the unbiased covariance, 0 for that of maximum likelihood.

        Examples
        --------
        >>> Gaussian.from_samples([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]).covariance
        array([[1., 0.],
               [0., 3.]])
        """
        from vaekit.gaussian.transformation import sample_moments

        tensors, from_numpy = as_tensors({"X": X} | ({} if weights is None else {"weights": weights}))
        check_one_kind(tensors)
        mean, covariance = sample_moments(tensors["X"], tensors.get("weights"), correction)
        return cls.from_tensors({"mean": mean, "covariance": covariance}, from_numpy=from_numpy)

    @classmethod
    def from_torch(cls, distribution: torch.distributions.Distribution, *, validate: bool = True) -> Self:
        """Return the same Gaussian as a torch distribution: `Independent(Normal, 1)`, `MultivariateNormal`,
        `LowRank...`.

        >>> Gaussian.from_torch(torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)))
        Gaussian(covariance, dimension=2, batch_shape=(), dtype=float32)
        """
        from vaekit.gaussian.transformation import parameters_of

        tensors = parameters_of(distribution)
        self = cls.from_tensors(tensors, validated=False)
        return self.validate() if validate else self

    def to_torch(self) -> torch.distributions.Distribution:
        """Return the torch distribution with the same structure.

        >>> Gaussian.standard(2).to_torch()
        Independent(Normal(loc: torch.Size([2]), scale: torch.Size([2])), 1)
        """
        from vaekit.gaussian.transformation import torch_distribution

        return torch_distribution(self)

    # What it is ----

    @property
    def mean(self) -> Any:
        """The mean, (..., k), broadcast to the batch."""
        return present(self.parameters["mean"].expand(self.batch_shape + self.event_shape), self)

    @property
    def covariance(self) -> Any:
        """The covariance, (..., k, k), broadcast to the batch."""
        return self._output(
            "covariance", lambda g: moments.covariance(g).expand(g.batch_shape + g.event_shape * 2)
        )

    @property
    def scale_tril(self) -> Any:
        """The lower triangular `L` with `L L^T = S`, (..., k, k).

        A zero on its diagonal marks a singular item.
        """
        return self._output(
            "scale_tril", lambda g: moments.scale_tril(g).expand(g.batch_shape + g.event_shape * 2)
        )

    @property
    def precision(self) -> Any:
        """The inverse covariance, (..., k, k)."""
        self._refuse_singular("precision")
        return self._output(
            "precision", lambda g: moments.precision(g).expand(g.batch_shape + g.event_shape * 2)
        )

    @property
    def variance(self) -> Any:
        """The variance of each coordinate, (..., k)."""
        return self._output("variance", lambda g: moments.variance(g).expand(g.batch_shape + g.event_shape))

    @property
    def standard_deviation(self) -> Any:
        """The standard deviation of each coordinate, (..., k)."""
        return self._output(
            "standard_deviation", lambda g: moments.variance(g).sqrt().expand(g.batch_shape + g.event_shape)
        )

    stddev = standard_deviation

    @property
    def log_determinant(self) -> Any:
        """The log-determinant of the covariance, (...); -inf where singular."""
        return self._output("log_determinant", lambda g: moments.log_determinant(g).expand(g.batch_shape))

    @property
    def is_singular(self) -> Any:
        """The mask of the singular items, (...) of bool."""
        return present(self.singular_items(), self)

    def __repr__(self) -> str:
        rank = f", rank={self.parameters['factor'].shape[-1]}" if self.structure == "low_rank" else ""
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"Gaussian({self.parameterisation}, dimension={self.dimension}{rank}, "
            f"batch_shape={tuple(self.batch_shape)}, dtype={dtype})"
        )

    def __getitem__(self, index: Any) -> Self:
        """Return items of the batch.

        >>> Gaussian(torch.zeros(5, 2), scale=1.0)[1:3]
        Gaussian(scale, dimension=2, batch_shape=(2,), dtype=float32)
        """
        index = index if isinstance(index, tuple) else (index,)
        if any(i is Ellipsis for i in index):
            raise GaussianError("an Ellipsis cannot index a batch of Gaussians; write the batch index out")
        return self._map(lambda name, tensor: self.expanded(name, tensor)[index])

    def to(self, *arguments: Any, **options: Any) -> Self:
        """Return the same Gaussians in another dtype or on another device, as `Tensor.to` does."""
        return self._map(lambda name, tensor: tensor.to(*arguments, **options))

    def detach(self) -> Self:
        """Return the same Gaussians without gradients."""
        return self._map(lambda name, tensor: tensor.detach())

    # What it does
    # ----------------------------------------------------------------------------------------------

    def log_prob(self, x: ArrayLike) -> Any:
        """Return the log-density at `x` (..., k), in nats, broadcast over the batch.

        Raises `SingularCovarianceError` where the covariance is singular: there is no density.
        """
        tensors, numpy_in = as_tensors({"x": x}, like=(self.dtype, self.device))
        check_one_kind({"mean": self.parameters["mean"], **tensors})
        check_shape(
            tensors["x"].shape[-1:] == self.event_shape,
            f"x has shape {tuple(tensors['x'].shape)}; expected (..., {self.dimension})",
        )
        self._refuse_singular("log_prob")
        g = self.promoted()
        x64 = tensors["x"].double() - g.parameters["mean"]
        value = -0.5 * (
            moments.squared_mahalanobis(g, x64)
            + moments.log_determinant(g)
            + self.dimension * math.log(2 * math.pi)
        )
        return finish(value.to(self.dtype), self.from_numpy and numpy_in)

    def rsample(self, sample_shape: Sequence[int] = (), *, generator: torch.Generator | None = None) -> Any:
        """Samples (*sample_shape, ..., k) by reparameterisation, so gradients reach the parameters."""
        shape = torch.Size(sample_shape) + self.batch_shape
        p = self.parameters

        def noise(size: int) -> Tensor:
            return torch.randn((*shape, size), generator=generator, dtype=self.dtype, device=self.device)

        if self.structure == "low_rank":
            factor = p["factor"]
            spread = (factor @ noise(factor.shape[-1]).unsqueeze(-1)).squeeze(-1)
            spread = spread + p["diagonal"].sqrt() * noise(self.dimension)
        elif self.structure == "full":
            root = moments.scale_tril(self.promoted()).to(self.dtype)
            spread = (root @ noise(self.dimension).unsqueeze(-1)).squeeze(-1)
        else:
            spread = moments.deviation(self.promoted()).to(self.dtype) * noise(self.dimension)
        return present(p["mean"] + spread, self)

    def sample(self, sample_shape: Sequence[int] = (), *, generator: torch.Generator | None = None) -> Any:
        """Samples (*sample_shape, ..., k) without gradients."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator=generator)

    def entropy(self) -> Any:
        r"""Return the differential entropy `1/2 (k + k log 2 pi + log det S)`, (...), in nats.

        -inf where singular.
        """
        constant = 0.5 * self.dimension * (1 + math.log(2 * math.pi))
        return self._output(
            "entropy", lambda g: (constant + 0.5 * moments.log_determinant(g)).expand(g.batch_shape)
        )

    def marginal(self, indices: Sequence[int] | int) -> Self:
        """Return the Gaussian of some coordinates, in the given order; keeps the structure.

        >>> Gaussian([0.0, 1.0, 2.0], variance=[1.0, 2.0, 3.0]).marginal([2, 0]).mean
        array([2., 0.])
        """
        from vaekit.gaussian.transformation import marginal

        return marginal(self, indices)

    def condition(self, indices: Sequence[int] | int, values: ArrayLike) -> Self:
        """Return the Gaussian of the other coordinates, given those at ``indices``.

        The values are of shape (..., len(indices)).
        """
        from vaekit.gaussian.transformation import condition

        return condition(self, indices, values)

    def affine(self, matrix: ArrayLike, offset: ArrayLike | None = None) -> Self:
        """Return the Gaussian of `A x + b` for `A` (..., n, k) and `b` (..., n).

        Singular where `A` loses rank.
        """
        from vaekit.gaussian.transformation import affine

        return affine(self, matrix, offset)

    # ----------------------------------------------------

    def _output(self, key: str, compute: Callable[["Gaussian"], Tensor]) -> Any:
        g = self.promoted()
        if torch.is_grad_enabled() and any(t.requires_grad for t in g.parameters.values()):
            # A graph is used up by its first backward pass: never hand the same one out twice.
            value = compute(g)
        else:
            value = g._cached(f"output {key}", lambda: compute(g))
        return present(value.to(self.dtype), self)

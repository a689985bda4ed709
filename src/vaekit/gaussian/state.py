"""The base of `Gaussian`: its parameters as they were given, and what has been computed from them.

It knows nothing of densities and samples.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

from vaekit.gaussian.dense import LARGEST_ESCALATED, TOLERATED_LOSS, cancellation
from vaekit.gaussian.exact import ExactRoot, exact_root
from vaekit.gaussian.exceptions import SingularCovarianceError
from vaekit.gaussian.many import LARGEST_COMPILED, many_factors
from vaekit.gaussian.parameters import (
    EVENT_DIMENSIONS,
    STRUCTURES,
    Structure,
    asymmetric_items,
    check_finite,
    check_nonnegative,
    check_one_kind,
    check_shapes,
    check_symmetric,
    first_index,
    is_concrete,
    not_positive_definite,
)
from vaekit.gaussian.stable import (
    Root,
    covariance_factor,
    covariance_from,
    identity_like,
    precision_factor,
    solve_lower,
)

__all__ = ["GaussianState"]

#: Covariances of deviations from this to its inverse can be multiplied with each other.
LEAST_DEVIATION = 1e-70


class GaussianState:
    """Parameters, dtype, shapes and caches of a batch of Gaussians."""

    def _setup(self, tensors: dict[str, Tensor], from_numpy: bool, resolution: float | None) -> Self:
        """Take the parameters in, and check what can be checked by looking at shapes and dtypes only."""
        self.parameters = tensors
        self.parameterisation = next(name for name in tensors if name in STRUCTURES)
        self.structure: Structure = STRUCTURES[self.parameterisation]
        self.from_numpy = from_numpy
        self.validated = False
        self._cache: dict[str, Any] = {}
        self._versions: list[int] = []
        self.dtype = tensors["mean"].dtype
        self.device = tensors["mean"].device
        check_one_kind(tensors)
        #: Relative rounding error of the parameters as they were given.
        self.resolution = torch.finfo(self.dtype).eps if resolution is None else resolution
        self.batch_shape = check_shapes(tensors)
        self.dimension = tensors["mean"].shape[-1]
        self.event_shape = torch.Size((self.dimension,))
        return self

    @classmethod
    def from_tensors(
        cls,
        tensors: dict[str, Tensor],
        *,
        from_numpy: bool = False,
        resolution: float | None = None,
        validated: bool = True,
    ) -> Self:
        """Return a Gaussian of tensors that are known to be good."""
        self = cls.__new__(cls)
        self._setup(tensors, from_numpy, resolution)
        self.validated = validated
        return self

    def promoted(self) -> Self:
        """Return the same Gaussian in float64 and with tensors out; itself where it is so already."""
        if self.dtype == torch.float64 and not self.from_numpy:
            return self
        return self._cached(f"promoted {torch.is_grad_enabled()}", self._double)

    def _double(self) -> Self:
        tensors = {name: tensor.double() for name, tensor in self.parameters.items()}
        return self.from_tensors(tensors, resolution=self.resolution, validated=self.validated)

    def validate(self, label: str = "") -> Self:
        """Raise if a value is not finite, a matrix not symmetric, or a covariance not positive semidefinite."""
        if self.validated or not is_concrete(*self.parameters.values()):
            return self
        name = self.parameterisation
        factor = self.promoted()._clean_factor() if name == "covariance" else None
        if factor is not None:
            self.promoted()._cached("matrix_factor", lambda: factor)
            check_finite(self.parameters["mean"], label + "mean", 1)
            self.validated = True
            return self
        for each, tensor in self.parameters.items():
            if each in ("covariance", "precision"):
                check_symmetric(tensor, label + each)
            elif each in ("variance", "standard_deviation", "scale", "diagonal"):
                check_nonnegative(tensor, label + each, EVENT_DIMENSIONS[each])
            else:
                check_finite(tensor, label + each, EVENT_DIMENSIONS[each])
        if name == "scale_tril":
            check_nonnegative(
                self.parameters["scale_tril"].diagonal(dim1=-2, dim2=-1), "the diagonal of scale_tril", 1
            )
        if name in ("covariance", "precision"):
            failed = self.promoted().matrix_factor().isnan().any(-1).any(-1)
            if failed.any():
                raise not_positive_definite(self.parameters[name], label + name, first_index(failed))
        self.validated = True
        return self

    def _clean_factor(self) -> Tensor | None:
        """Return Cholesky's factor of the covariance if it is symmetric to the bit and has one, which says
        everything.

        A matrix with an entry that is not finite has no such factor, or is not symmetric.
        """
        S = self.parameters["covariance"].detach()
        factor = many_factors(S) if self.dimension <= LARGEST_COMPILED else None
        if factor is not None:
            self._cached("exactly symmetric", lambda: True)
            return factor
        if not self.exactly_symmetric():
            return None
        factor, info = torch.linalg.cholesky_ex(S)
        return None if info.any() or not factor.diagonal(dim1=-2, dim2=-1).isfinite().all() else factor

    def matrix_factor(self) -> Tensor:
        """Return `L` of the covariance, or the upper triangular `U` of the precision `U U^T`, without gradients.

        It is cached. Items that are not positive semidefinite hold NaN; singular covariances have zeros on
        the diagonal of `L`.
        """
        name = self.parameterisation

        def compute() -> Tensor:
            with torch.no_grad():
                theta = tuple(self.parameters.values())[1:]
                if name == "precision":
                    return precision_factor(theta[0])
                if name == "covariance":
                    clean = self._clean_factor()
                    if clean is not None:
                        return clean
                    symmetric = self.exactly_symmetric()
                    return covariance_factor(
                        theta[0], resolution=self.resolution, exactly_symmetric=symmetric
                    )
                if name == "scale_tril":
                    return theta[0].tril()
                return covariance_factor(
                    covariance_from(name, theta, self.dimension), resolution=self.resolution
                )

        return self._cached("matrix_factor", compute)

    def known_factor(self) -> Tensor | None:
        """Return the matrix factor where there is one to compute and values may be looked at."""
        has_factor = self.parameterisation in ("covariance", "precision", "factor")
        return self.matrix_factor() if has_factor and is_concrete(*self.parameters.values()) else None

    def lower_factor(self) -> Tensor:
        """Return the lower triangular `L` with `L L^T = S`, without gradients and cached.

        Ill-conditioned items have it from double-double arithmetic.
        """

        def compute() -> Tensor:
            with torch.no_grad():
                found = self.matrix_factor()
                if self.parameterisation == "precision":
                    found = solve_lower(found.mT, identity_like(found))
                exact = self.exact_factor()
                if exact is None or self.parameterisation == "scale_tril":
                    return found
                mask, better = exact[0], exact[1].lower()
                found = found.clone()
                found[mask] = torch.where(better.isnan(), found[mask], better)
                return found

        return self._cached("lower factor", compute)

    def exact_factor(self) -> tuple[Tensor, ExactRoot] | None:
        """Return which items are ill-conditioned, and their factors in double-double; None if none is."""

        def compute() -> tuple[Tensor, ExactRoot] | None:
            name = self.parameterisation
            matrices = ("covariance", "precision", "factor", "scale_tril")
            if name not in matrices or self.dimension > LARGEST_ESCALATED:
                return None
            with torch.no_grad():
                theta = tuple(self.parameters.values())[1:]
                factor = self.matrix_factor()
                single = self.resolution > torch.finfo(torch.float64).eps
                loss = cancellation(name, theta, Root(lower_factor=factor))
                if loss is None:
                    return None
                # A singular item has no better factor; NaN and inf compare as False here.
                mask = (loss > TOLERATED_LOSS[single][0]) & loss.isfinite()
                if not mask.any():
                    return None
                tails = [EVENT_DIMENSIONS[each] for each in list(self.parameters)[1:]]
                some = tuple(
                    t.double().expand(mask.shape + t.shape[t.dim() - d :])[mask]
                    for t, d in zip(theta, tails, strict=True)
                )
                return mask, exact_root(name, some, self.dimension)

        return self._cached("exact factor", compute)

    def exact_mahalanobis(self, difference: Tensor) -> Tensor | None:
        """Return `d^T S^-1 d` where the covariance is ill-conditioned, NaN elsewhere.

        None if it is nowhere.
        """
        exact = self.exact_factor()
        if exact is None:
            return None
        mask, root = exact
        with torch.no_grad():
            shape = torch.broadcast_shapes(mask.shape, difference.shape[:-1])
            # The number of each masked item, and for each difference the item that it belongs to.
            number = torch.full(mask.shape, -1, device=mask.device)
            number[mask] = torch.arange(int(mask.sum()), device=mask.device)
            number = number.expand(shape)
            wanted = number >= 0
            found = torch.full(shape, torch.nan, dtype=torch.float64, device=mask.device)
            columns = difference.expand(*shape, self.dimension)[wanted]
            found[wanted] = root.squared_mahalanobis(columns, number[wanted])
            return found

    def exactly_symmetric(self) -> bool:
        """Return whether the covariance or precision is symmetric to the bit; cached."""
        S = self.parameters[self.parameterisation]
        return self._cached("exactly symmetric", lambda: torch.equal(S, S.mT))

    def has_asymmetric(self) -> bool:
        """Return whether a covariance or precision that has not been validated is not symmetric."""
        name = self.parameterisation
        if self.validated or name not in ("covariance", "precision") or self.promoted().exactly_symmetric():
            return False
        return bool(asymmetric_items(self.parameters[name]).any())

    def bad_items(self) -> Tensor:
        """Return which items, (...) of bool, are not Gaussians.

        Those that `validate` would raise an error about.
        """
        bad = torch.zeros(self.batch_shape, dtype=torch.bool, device=self.device)
        for name, tensor in self.parameters.items():
            wrong = ~tensor.isfinite()
            if name in ("variance", "standard_deviation", "scale", "diagonal"):
                wrong = wrong | (tensor < 0)
            elif name == "scale_tril":
                wrong = wrong | torch.diag_embed(tensor.diagonal(dim1=-2, dim2=-1) < 0)
            elif name in ("covariance", "precision"):
                wrong = wrong | asymmetric_items(tensor)[..., None, None]
                wrong = wrong | self.promoted().matrix_factor().isnan()
            bad = (
                bad | wrong.flatten(tensor.dim() - EVENT_DIMENSIONS[name]).any(-1)
                if name != "scale"
                else bad | wrong
            )
        return bad

    def has_zero_on_diagonal(self) -> bool:
        """Return whether a low-rank Gaussian has a zero on its diagonal, where Woodbury's identity does not hold."""
        diagonal = self.parameters["diagonal"]
        return is_concrete(diagonal) and bool((diagonal == 0).any())

    def rough_deviation(self) -> Tensor:
        """Return the order of magnitude of the standard deviations, (..., k), without squares of what was given."""
        name, first = self.parameterisation, tuple(self.parameters.values())[1].detach()
        if name == "precision":
            return first.diagonal(dim1=-2, dim2=-1).rsqrt()
        if name in ("covariance", "variance"):
            return (first.diagonal(dim1=-2, dim2=-1) if name == "covariance" else first).clamp_min(0).sqrt()
        if name == "scale":
            return first.unsqueeze(-1).expand(*first.shape, self.dimension)
        if name == "standard_deviation":
            return first
        largest = first.abs().amax(-1) if first.shape[-1] else torch.zeros_like(self.parameters["mean"])
        return (
            torch.maximum(largest, self.parameters["diagonal"].detach().sqrt())
            if name == "factor"
            else largest
        )

    def has_plain_scale(self) -> bool:
        """Return whether the covariance and its products are far from both ends of the range of numbers.

        Cached.
        """

        def compute() -> bool:
            size = self.rough_deviation()
            return bool(((size == 0) | ((size > LEAST_DEVIATION) & (size < 1 / LEAST_DEVIATION))).all())

        return self._cached("plain scale", compute)

    def rescaled(self, power: Tensor, mean: Tensor) -> Self:
        """Return the Gaussian of `diag(power) x`, with another mean."""
        name = self.parameterisation
        tensors = dict(self.parameters) | {"mean": mean}
        first, row = tensors[name], power.unsqueeze(-1)
        if name == "covariance":
            tensors[name] = first * row * row.mT
        elif name == "precision":
            tensors[name] = first / row / row.mT
        elif name == "variance":
            tensors[name] = first * power * power
        elif name in ("scale_tril", "factor"):
            tensors[name] = first * row
        if name == "factor":
            tensors["diagonal"] = tensors["diagonal"] * power * power
        if name in ("standard_deviation", "scale"):
            del tensors[name]
            tensors["standard_deviation"] = (first.unsqueeze(-1) if name == "scale" else first) * power
        return self.from_tensors(tensors, resolution=self.resolution, validated=self.validated)

    def singular_items(self) -> Tensor:
        """Return which items are singular, (...) of bool; cached."""
        g = self.promoted()
        return g._cached("is_singular", g._is_singular)

    def _is_singular(self) -> Tensor:
        p, name = self.parameters, self.parameterisation
        with torch.no_grad():
            if name == "precision":
                singular = torch.zeros((), dtype=torch.bool, device=self.device)
            elif name in ("variance", "standard_deviation"):
                singular = (p[name] == 0).any(-1)
            elif name == "scale":
                singular = p[name] == 0
            elif name == "factor" and not self.has_zero_on_diagonal():
                singular = torch.zeros((), dtype=torch.bool, device=self.device)
            else:
                singular = (self.matrix_factor().diagonal(dim1=-2, dim2=-1) == 0).any(-1)
            return singular.expand(self.batch_shape)

    def _refuse_singular(self, operation: str) -> None:
        if not is_concrete(*self.parameters.values()):
            return
        singular = self.singular_items()
        if bool(singular.any()):
            index = first_index(singular)
            raise SingularCovarianceError(
                f"{operation} needs a density, but the covariance"
                f"{f' at batch index {index}' if index else ''} is singular; "
                "try marginal() or affine() to the coordinates in which it is not",
                batch_index=index,
            )

    def _cached(self, key: str, compute: Callable[[], Any]) -> Any:
        """Return what is computed once, and again after a parameter has been changed in place."""
        tensors = self.parameters.values()
        if not is_concrete(*tensors):
            return compute()
        versions = [0 if t.is_inference() else t._version for t in tensors]
        if versions != self._versions:
            self._cache.clear()
            self._versions = versions
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    def expanded(self, name: str, tensor: Tensor) -> Tensor:
        """Return a parameter with all dimensions of the batch."""
        tail = tensor.shape[tensor.dim() - EVENT_DIMENSIONS[name] :]
        return tensor.expand(self.batch_shape + tail)

    def _map(self, change: Callable[[str, Tensor], Tensor]) -> Self:
        tensors = {name: change(name, tensor) for name, tensor in self.parameters.items()}
        return self.from_tensors(tensors, from_numpy=self.from_numpy, validated=self.validated)

"""What a Gaussian keeps: its parameters as they were given, and what has been computed from them.

`GaussianState` is only ever used as the base of `Gaussian`; it knows nothing of densities and samples.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

from vaekit.gaussian import moments
from vaekit.gaussian.errors import SingularCovarianceError
from vaekit.gaussian.factorization import covariance_factor, precision_factor
from vaekit.gaussian.parameters import EVENT_DIMENSIONS, STRUCTURES, Structure, check_shapes
from vaekit.gaussian.validation import (
    asymmetric_items,
    check_finite,
    check_nonnegative,
    check_one_kind,
    check_symmetric,
    first_index,
    is_concrete,
    not_positive_definite,
)

__all__ = ["GaussianState"]


class GaussianState:
    """Parameters, dtype, shapes and caches of a batch of Gaussians."""

    def _setup(self, tensors: dict[str, Tensor], from_numpy: bool, resolution: float | None) -> Self:
        """Take the parameters in; everything that looks at shapes only."""
        self.parameters = tensors
        self.parameterisation = next(name for name in tensors if name in STRUCTURES)
        self.structure: Structure = STRUCTURES[self.parameterisation]
        self.from_numpy = from_numpy
        self.validated = False
        self._cache: dict[str, Any] = {}
        self._versions: tuple[int, ...] = ()
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
    def _from_tensors(
        cls,
        tensors: dict[str, Tensor],
        *,
        from_numpy: bool = False,
        resolution: float | None = None,
        validated: bool = True,
    ) -> Self:
        """Build from tensors that are known to be good."""
        self = cls.__new__(cls)
        self._setup(tensors, from_numpy, resolution)
        self.validated = validated
        return self

    def promoted(self) -> Self:
        """The same Gaussian in float64 and with tensors out, sharing this one's caches; itself where it is so
        already."""
        if self.dtype == torch.float64 and not self.from_numpy:
            return self
        return self._cached(f"promoted {torch.is_grad_enabled()}", lambda: self._double())

    def _double(self) -> Self:
        tensors = {name: tensor.double() for name, tensor in self.parameters.items()}
        return self._from_tensors(tensors, resolution=self.resolution, validated=self.validated)

    def validate(self, label: str = "") -> Self:
        """Raise if a value is not finite, a matrix not symmetric, or a covariance not positive
        semidefinite."""
        if self.validated or not is_concrete(*self.parameters.values()):
            return self
        for name, tensor in self.parameters.items():
            if name in ("covariance", "precision"):
                check_symmetric(tensor, label + name)
            elif name in ("variance", "standard_deviation", "scale", "diagonal"):
                check_nonnegative(tensor, label + name, EVENT_DIMENSIONS[name])
            else:
                check_finite(tensor, label + name, EVENT_DIMENSIONS[name])
        if self.parameterisation == "scale_tril":
            check_nonnegative(
                self.parameters["scale_tril"].diagonal(dim1=-2, dim2=-1), "the diagonal of scale_tril", 1
            )
        if self.parameterisation in ("covariance", "precision"):
            failed = self.promoted().matrix_factor().isnan().any(-1).any(-1)
            if bool(failed.any()):
                name = self.parameterisation
                raise not_positive_definite(self.parameters[name], label + name, first_index(failed))
        self.validated = True
        return self

    def matrix_factor(self) -> Tensor:
        """Cached, without gradients: `L` of the covariance, or upper triangular `U` of the precision `U U^T`.

        Items that are not positive semidefinite hold NaN; singular covariances have zeros on the diagonal of
        `L`.
        """
        name = self.parameterisation

        def compute() -> Tensor:
            with torch.no_grad():
                if name == "covariance":
                    return covariance_factor(
                        self.parameters[name],
                        resolution=self.resolution,
                        exactly_symmetric=self.exactly_symmetric(),
                    )
                return (
                    precision_factor(self.parameters[name])
                    if name == "precision"
                    else moments.scale_tril(self)
                )

        return self._cached("matrix_factor", compute)

    def exactly_symmetric(self) -> bool:
        """Whether the covariance or precision is symmetric to the bit; cached."""
        S = self.parameters[self.parameterisation]
        return self._cached("exactly symmetric", lambda: torch.equal(S, S.mT))

    def bad_items(self) -> Tensor:
        """Which items, (...) of bool, are not Gaussians: what `validate` would raise about."""
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
        """Whether a low-rank Gaussian has a zero on its diagonal, where Woodbury's identity does not hold."""
        return moments.singular_diagonal(self)

    def _is_singular(self) -> Tensor:
        p, name = self.parameters, self.parameterisation
        with torch.no_grad():
            if name == "precision":
                singular = torch.zeros((), dtype=torch.bool, device=self.device)
            elif name in ("variance", "standard_deviation"):
                singular = (p[name] == 0).any(-1)
            elif name == "scale":
                singular = p[name] == 0
            elif name == "factor" and not moments.singular_diagonal(self):
                singular = torch.zeros((), dtype=torch.bool, device=self.device)
            else:
                singular = (self.matrix_factor().diagonal(dim1=-2, dim2=-1) == 0).any(-1)
            return singular.expand(self.batch_shape)

    def _refuse_singular(self, operation: str) -> None:
        if not is_concrete(*self.parameters.values()):
            return
        singular = self.promoted()._cached("is_singular", self.promoted()._is_singular)
        if bool(singular.any()):
            index = first_index(singular)
            raise SingularCovarianceError(
                f"{operation} needs a density, but the "
                f"covariance{f' at batch index {index}' if index else ''} is singular; "
                "try marginal() or affine() to the coordinates in which it is not",
                batch_index=index,
            )

    def _cached(self, key: str, compute: Callable[[], Any]) -> Any:
        """Computed once, and again after a parameter has been changed in place."""
        tensors = self.parameters.values()
        if not is_concrete(*tensors):
            return compute()
        versions = tuple(0 if t.is_inference() else t._version for t in tensors)
        if versions != self._versions:
            self._cache.clear()
            self._versions = versions
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    def _expanded(self, name: str, tensor: Tensor) -> Tensor:
        tail = tensor.shape[tensor.dim() - EVENT_DIMENSIONS[name] :]
        return tensor.expand(self.batch_shape + tail)

    def _map(self, change: Callable[[str, Tensor], Tensor]) -> Self:
        tensors = {name: change(name, tensor) for name, tensor in self.parameters.items()}
        return self._from_tensors(tensors, from_numpy=self.from_numpy, validated=self.validated)

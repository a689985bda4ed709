r"""Marginals, conditionals and affine images of a Gaussian.

With blocks `a` (kept) and `b` (observed),
$$ x_a \mid x_b = v \;\sim\; \mathcal N\left(m_a + S_{ab} S_{bb}^{-1} (v - m_b),\;
   S_{aa} - S_{ab} S_{bb}^{-1} S_{ba}\right). $$
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vaekit.gaussian.errors import GaussianError
from vaekit.gaussian.factorization import solve_lower
from vaekit.gaussian.parameters import as_tensors
from vaekit.gaussian.validation import check_one_kind, check_shape

if TYPE_CHECKING:
    from vaekit.gaussian.distribution import ArrayLike, Gaussian

__all__ = ["affine", "condition", "marginal"]


def marginal(gaussian: "Gaussian", indices: Sequence[int] | int) -> Any:
    """See `Gaussian.marginal`."""
    kept = positions(indices, gaussian.dimension)
    p, name = gaussian.parameters, gaussian.parameterisation
    new = {"mean": p["mean"][..., kept]}
    if name in ("variance", "standard_deviation"):
        new[name] = p[name][..., kept]
    elif name == "scale":
        new[name] = p[name]
    elif name == "factor":
        new |= {"factor": p["factor"][..., kept, :], "diagonal": p["diagonal"][..., kept]}
    elif name == "covariance":
        new[name] = p[name][..., kept, :][..., kept]
    else:
        covariance = tensor_of(gaussian, "covariance")
        new["covariance"] = covariance[..., kept, :][..., kept]
    return gaussian._from_tensors(new, from_numpy=gaussian.from_numpy, validated=gaussian.validated)


def condition(gaussian: "Gaussian", indices: Sequence[int] | int, values: "ArrayLike") -> Any:
    """See `Gaussian.condition`."""
    observed = positions(indices, gaussian.dimension)
    kept = [i for i in range(gaussian.dimension) if i not in set(observed)]
    if not kept:
        raise GaussianError("every coordinate is observed; expected at least one to be left")
    value, numpy_in = as_tensors({"values": values}, like=(gaussian.dtype, gaussian.device))
    check_one_kind({"mean": gaussian.parameters["mean"], **value})
    v = value["values"]
    v = v.unsqueeze(-1) if isinstance(indices, int) and v.shape[-1:] != (1,) else v
    check_shape(
        v.shape[-1:] == (len(observed),),
        f"values have shape {tuple(v.shape)}; expected (..., {len(observed)}), one for each of the indices "
        f"{observed}",
    )
    to_numpy = gaussian.from_numpy and numpy_in
    p, name = gaussian.parameters, gaussian.parameterisation
    if gaussian.structure in ("diagonal", "isotropic"):
        scale = {name: p[name][..., kept] if gaussian.structure == "diagonal" else p[name]}
        mean = p["mean"][..., kept].expand(
            *torch.broadcast_shapes(p["mean"].shape[:-1], v.shape[:-1]), len(kept)
        )
        return gaussian._from_tensors(
            {"mean": mean, **scale}, from_numpy=to_numpy, validated=gaussian.validated
        )
    g = gaussian.promoted()
    difference = (v.double() - g.parameters["mean"][..., observed]).unsqueeze(-1)
    if name == "precision":
        P = 0.5 * (g.parameters[name] + g.parameters[name].mT)
        inner, cross = P[..., kept, :][..., kept], P[..., kept, :][..., observed]
        shift = torch.linalg.solve(inner, cross @ difference).squeeze(-1)
        new = {"mean": g.parameters["mean"][..., kept] - shift, "precision": inner}
    else:
        # One triangular factor in the order (observed, kept) holds everything:
        # S = [Lb 0; C La] [..]^T gives the shift C Lb^-1 (v - mb) and the covariance La La^T, never a
        # difference.
        ordered = marginal(g, observed + kept)
        L = tensor_of(ordered, "scale_tril")
        n = len(observed)
        singular = (L[..., :n, :n].diagonal(dim1=-2, dim2=-1) == 0).any()
        if not torch.compiler.is_compiling() and bool(singular):
            raise GaussianError(
                f"the coordinates {observed} are degenerate (their covariance is singular), so conditioning "
                "on values of "
                "them is not defined; try leaving out those that the others determine"
            )
        shift = (L[..., n:, :n] @ solve_lower(L[..., :n, :n], difference)).squeeze(-1)
        new = {"mean": g.parameters["mean"][..., kept] + shift, "scale_tril": L[..., n:, n:]}
    new = {key: tensor.to(gaussian.dtype) for key, tensor in new.items()}
    return gaussian._from_tensors(new, from_numpy=to_numpy, validated=gaussian.validated)


def affine(gaussian: "Gaussian", matrix: "ArrayLike", offset: "ArrayLike | None" = None) -> Any:
    """See `Gaussian.affine`."""
    given = {"matrix": matrix} | ({} if offset is None else {"offset": offset})
    tensors, numpy_in = as_tensors(given, like=(gaussian.dtype, gaussian.device))
    check_one_kind({"mean": gaussian.parameters["mean"], **tensors})
    A = tensors["matrix"]
    check_shape(
        A.dim() >= 2 and A.shape[-1] == gaussian.dimension,
        f"matrix has shape {tuple(A.shape)}; expected (..., n, {gaussian.dimension})",
    )
    b = tensors.get("offset", torch.zeros((), dtype=A.dtype, device=A.device))
    check_shape(
        b.dim() == 0 or b.shape[-1] == A.shape[-2],
        f"offset has shape {tuple(b.shape)} but matrix {tuple(A.shape)}; expected (..., {A.shape[-2]})",
    )
    g, A64 = gaussian.promoted(), A.double()
    mean = (A64 @ g.parameters["mean"].unsqueeze(-1)).squeeze(-1) + b.double()
    if gaussian.structure == "low_rank":
        p = g.parameters
        root = torch.cat([A64 @ p["factor"], A64 * p["diagonal"].sqrt().unsqueeze(-2)], -1)
    elif gaussian.structure == "full":
        root = A64 @ tensor_of(g, "scale_tril")
    else:
        root = A64 * tensor_of(g, "standard_deviation").unsqueeze(-2)
    covariance = root @ root.mT
    new = {
        "mean": mean.to(gaussian.dtype),
        "covariance": (0.5 * (covariance + covariance.mT)).to(gaussian.dtype),
    }
    return gaussian._from_tensors(
        new, from_numpy=gaussian.from_numpy and numpy_in, validated=gaussian.validated
    )


def positions(indices: Sequence[int] | int, dimension: int) -> list[int]:
    """Distinct positions from 0, from indices that may count from the end."""
    given = [indices] if isinstance(indices, int) else [int(i) for i in indices]
    if not given:
        raise GaussianError("no index was given; expected at least one coordinate")
    if any(not -dimension <= i < dimension for i in given):
        raise GaussianError(f"indices {given} do not all lie in a vector of size {dimension}")
    found = [i % dimension for i in given]
    if len(set(found)) != len(found):
        raise GaussianError(f"indices {given} repeat a coordinate; expected each at most once")
    return found


def tensor_of(gaussian: "Gaussian", name: str) -> Tensor:
    """A property as a tensor, whatever the Gaussian was made from."""
    return torch.as_tensor(getattr(gaussian.promoted(), name)).to(gaussian.dtype)

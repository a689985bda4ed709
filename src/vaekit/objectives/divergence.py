r"""KL divergences between posterior and prior: a table of pairs of types.

``torch.distributions.kl_divergence`` walks the class hierarchy at every call, breaks a compiled graph, and
loses digits by cancellation; this table is looked up by exact type. Where a pair has no closed form the
objective estimates

.. math:: \mathrm{KL}(q \,\|\, p) \approx \log q(z) - \log p(z), \qquad z \sim q.

Between independent categoricals and an autoregressive mass, only the codes before each position come from the
draw, and the rest is in closed form: it is never negative, and has a smaller variance,

.. math:: \mathrm{KL}(q \,\|\, p) = \sum_i \mathbb E_{k_{<i} \sim q} \mathrm{KL}(q_i \,\|\, p(\cdot \mid k_{<i})).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
)

from vaekit.distributions import (
    AutoregressiveCodes,
    CategoricalCodes,
    PointCodes,
    UniformSphere,
    VonMisesFisher,
    categorical_kl,
)
from vaekit.distributions.code_masses import pick
from vaekit.distributions.normals import FullNormal, LowRankNormal, PlainNormal
from vaekit.gaussian import kl_divergence, normal_kl

__all__ = ["Divergence", "closed_divergence", "divergence", "register_divergence"]


class Divergence(NamedTuple):
    """A divergence per example, and per latent dimension where both sides factorise; in nats."""

    total: Tensor
    per_dimension: Tensor | None


_Key = tuple[type[Distribution], ...]
_ClosedForm = TypeVar("_ClosedForm", bound=Callable[[Any, Any], Divergence])
_TABLE: dict[tuple[_Key, _Key], Callable[[Any, Any], Divergence]] = {}


def register_divergence(q: _Key, p: _Key) -> Callable[[_ClosedForm], _ClosedForm]:
    """Register a closed form for a pair of exact types, outermost wrapper first: ``(Independent, Normal)``."""

    def enter(function: _ClosedForm) -> _ClosedForm:
        _TABLE[q, p] = function
        return function

    return enter


def divergence(q: Distribution, p: Distribution, z: Tensor) -> Divergence:
    r"""Compute :math:`\mathrm{KL}(q \,\|\, p)` in closed form, or estimate it from one draw per example.

    Parameters
    ----------
    q
        The posterior, of batch shape ``(batch,)``.
    p
        The prior, of batch shape ``()`` or ``(batch,)``.
    z
        A draw from ``q``, of shape ``(batch, *latent)``: used where there is no closed form.

    Returns
    -------
    Divergence
        In nats; never negative where it has a closed form.

    Examples
    --------
    >>> import torch
    >>> q = Independent(Normal(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 2.718281828]])), 1)
    >>> p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    >>> divergence(q, p, q.sample())
    Divergence(total=tensor([4.1945]), per_dimension=tensor([[2.0000, 2.1945]]))
    """
    closed = closed_divergence(q, p)
    if closed is not None:
        return closed
    if isinstance(q, CategoricalCodes) and isinstance(p, AutoregressiveCodes):
        return _position_by_position(q, p, z)
    return Divergence(q.log_prob(z) - p.log_prob(z), None)


def closed_divergence(q: Distribution, p: Distribution) -> Divergence | None:
    r"""Compute :math:`\mathrm{KL}(q \,\|\, p)` in closed form; None where there is none.

    Examples
    --------
    >>> import torch
    >>> closed_divergence(torch.distributions.Laplace(0.0, 1.0), torch.distributions.Normal(0.0, 1.0)) is None
    True
    """
    closed = _TABLE.get((_key(q), _key(p)))
    return None if closed is None else closed(q, p)


def _key(distribution: Distribution) -> _Key:
    if type(distribution) is Independent:
        return (Independent, _torch_type(distribution.base_dist))
    return (_torch_type(distribution),)


def _torch_type(distribution: Distribution) -> type[Distribution]:
    """Return the type of a distribution; PyTorch's, where ours only computes the same density otherwise."""
    return _OF_TORCH.get(type(distribution), type(distribution))


_OF_TORCH: dict[type[Distribution], type[Distribution]] = {
    PlainNormal: Normal,
    FullNormal: MultivariateNormal,
    LowRankNormal: LowRankMultivariateNormal,
}


@register_divergence((Independent, Normal), (Independent, Normal))
def _normal_normal(q: "Independent[Normal]", p: "Independent[Normal]") -> Divergence:
    q_normal, p_normal = q.base_dist, p.base_dist
    each = normal_kl(q_normal.loc, q_normal.scale, p_normal.loc, p_normal.scale)
    return Divergence(each.sum(dim=tuple(range(-len(q.event_shape), 0))), each)


@register_divergence((MultivariateNormal,), (Independent, Normal))
def _full_normal(q: MultivariateNormal, p: "Independent[Normal]") -> Divergence:
    """Add up, for q = N(m, L L'), the divergence of the normals of the diagonal, and half the squares left of it."""
    p_normal, L = p.base_dist, q.scale_tril
    each = normal_kl(q.mean, L.diagonal(dim1=-2, dim2=-1), p_normal.loc, p_normal.scale)
    left = (L.tril(-1) / p_normal.scale.unsqueeze(-1)).square().sum((-2, -1))
    return Divergence(each.sum(-1) + 0.5 * left, None)


@register_divergence((Independent, Normal), (MultivariateNormal,))
@register_divergence((MultivariateNormal,), (MultivariateNormal,))
@register_divergence((LowRankMultivariateNormal,), (Independent, Normal))
@register_divergence((LowRankMultivariateNormal,), (MultivariateNormal,))
def _gaussian_gaussian(q: Distribution, p: Distribution) -> Divergence:
    return Divergence(kl_divergence(q, p), None)


@register_divergence((CategoricalCodes,), (CategoricalCodes,))
def _categorical_categorical(q: CategoricalCodes, p: CategoricalCodes) -> Divergence:
    each = categorical_kl(q.log_masses, p.log_masses)
    return Divergence(each.sum(-1), each)


@register_divergence((PointCodes,), (CategoricalCodes,))
def _point_categorical(q: PointCodes, p: CategoricalCodes) -> Divergence:
    each = -pick(p.log_masses, q.codes)
    return Divergence(each.sum(-1), each)


@register_divergence((PointCodes,), (AutoregressiveCodes,))
def _point_autoregressive(q: PointCodes, p: AutoregressiveCodes) -> Divergence:
    return Divergence(-p.log_mass(q.probs).sum(-1), None)


@register_divergence((VonMisesFisher,), (UniformSphere,))
def _von_mises_fisher_uniform(q: VonMisesFisher, p: UniformSphere) -> Divergence:
    return Divergence(q.kl_to_uniform(), None)


def _position_by_position(q: CategoricalCodes, p: AutoregressiveCodes, z: Tensor) -> Divergence:
    one_hot, _ = p.codebook.one_hot(z)
    each = categorical_kl(q.log_masses, p.conditional_log_masses(one_hot))
    return Divergence(each.sum(-1), each)

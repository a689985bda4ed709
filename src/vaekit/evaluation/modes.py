r"""The modes of :math:`\log p(x, z)` over :math:`z`, row by row, and the widths of the peaks around them.

From several starts a quasi-Newton method (BFGS; Nocedal and Wright, 2006, "Numerical Optimization", chapter 6) climbs
along the gradient; several step lengths are tried at once in place of a line search. The width of a peak is that of its
curvature, and in few dimensions it is measured: how far :math:`\log p(x, z)` takes to fall by a half along the axes of
the curvature. Networks of rectifiers, and likelihoods with a kink, have hardly any curvature.

Rows do not depend on each other: a row that has arrived stays where it is while others go on.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Peaks", "find_peaks"]

LogJoint = Callable[[Tensor], Tensor]
"""From latents ``(..., n, d)`` to log p(x, z) ``(..., n)``, for the n rows."""

_STEPS = 40
_LADDER = tuple(4.0**-power for power in range(-1, 6))
_ARRIVED = 1e-2  # nats that a step gains
_MEASURED = 32  # dimensions, up to which the curvature is measured, rather than learned on the way
_PROFILED = 6  # dimensions, up to which the widths are measured
_REACH = tuple(4.0**power for power in range(-7, 5))


class Peaks:
    """Peaks of the posteriors of n rows.

    Parameters
    ----------
    place
        ``(m, n, d)``: m modes for every row; several may be the same one.
    factor
        ``(m, n, d, d)``: square roots of the covariances.
    value
        ``(m, n)``: log p(x, z) there, in nats.
    """

    def __init__(self, place: Tensor, factor: Tensor, value: Tensor) -> None:
        self.place, self.factor, self.value = place, factor, value


def find_peaks(log_joint: LogJoint, starts: Tensor, scale: Tensor, *, at_once: int = 2**20) -> Peaks | None:
    """Climb from starts, and measure the peaks.

    Parameters
    ----------
    log_joint
        Differentiable.
    starts
        ``(m, n, d)``.
    scale
        The prior's deviations, ``(d,)`` or ``(n, d)``: the length of the first steps, and of the widest peaks.
    at_once
        How many latents of each row to evaluate at once.

    Returns
    -------
    Peaks or None
        None where there is no gradient.
    """
    graded = _Graded(log_joint, at_once)
    if not graded.has_gradient(starts):
        return None
    place, value, inverse = _climb(graded, starts, scale)
    if starts.shape[-1] > _MEASURED:
        return Peaks(place, torch.linalg.cholesky_ex(inverse)[0], value)
    return Peaks(place, _widths(graded, place, value, scale), value)


class _Graded:
    """A log-density with its gradient."""

    def __init__(self, log_joint: LogJoint, at_once: int) -> None:
        self._log_joint, self._at_once = log_joint, at_once

    def value(self, z: Tensor) -> Tensor:
        with torch.no_grad():
            found = torch.cat([self._log_joint(part) for part in self._parts(z)]).reshape(z.shape[:-1])
        return torch.where(found.isfinite(), found, -torch.inf)

    def has_gradient(self, z: Tensor) -> bool:
        with torch.enable_grad():
            return self._log_joint(z[:1].detach().clone().requires_grad_()).requires_grad

    def gradient(self, z: Tensor) -> Tensor:
        found = torch.cat([self._slope(part) for part in self._parts(z)]).reshape(z.shape)
        return torch.where(found.isfinite(), found, 0.0)

    def _parts(self, z: Tensor) -> tuple[Tensor, ...]:
        return z.reshape(-1, *z.shape[-2:]).split(self._at_once)

    def _slope(self, z: Tensor) -> Tensor:
        with torch.enable_grad():
            z = z.detach().clone().requires_grad_()
            value = self._log_joint(z)
            return torch.autograd.grad(value.where(value.isfinite(), 0.0).sum(), z)[0]


def _climb(log_joint: _Graded, z: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    first = torch.diag_embed(scale.square().expand(z.shape))
    inverse = first.clone()
    ladder = torch.tensor(_LADDER, dtype=z.dtype, device=z.device).view(-1, 1, 1, 1)
    value, slope = log_joint.value(z), log_joint.gradient(z)
    active, stuck = value.isfinite(), torch.zeros_like(value)
    for _ in range(_STEPS):
        if not bool(active.any()):
            break
        kept = inverse
        direction = (inverse @ slope.unsqueeze(-1)).squeeze(-1)
        uphill = ((direction * slope).sum(-1) > 0) & direction.isfinite().all(-1)
        inverse = torch.where(uphill[..., None, None], inverse, first)
        direction = torch.where(uphill[..., None], direction, scale.square() * slope)
        tried = log_joint.value(z + ladder * direction)
        best, rung = tried.max(0)
        gain = best - value
        better = active & (gain > 0)
        step = ladder.flatten()[rung].unsqueeze(-1) * direction
        moved = torch.where(better[..., None], z + step, z)
        new_slope = log_joint.gradient(moved)
        updated = _bfgs(inverse, moved - z, slope - new_slope)
        # Where no rung is higher, shorter steps straight up the slope are tried once more.
        inverse = torch.where(better[..., None, None], updated, first * 4.0**-6)
        inverse = torch.where(active[..., None, None], inverse, kept)
        z, slope, value = moved, new_slope, torch.where(better, best, value)
        stuck = torch.where(better & (gain > _ARRIVED), 0.0, stuck + 1)
        active = active & (stuck < 2)
    return z, value, inverse


def _bfgs(inverse: Tensor, step: Tensor, fall: Tensor) -> Tensor:
    """Update the inverse of the negative Hessian where the slope has fallen along the step."""
    product = (step * fall).sum(-1)
    usable = product > 1e-10 * step.norm(dim=-1) * fall.norm(dim=-1)
    rho = (1 / torch.where(usable, product, 1.0))[..., None, None]
    s, y = step.unsqueeze(-1), fall.unsqueeze(-1)
    turned = torch.eye(step.shape[-1], dtype=step.dtype, device=step.device) - rho * s @ y.mT
    found = turned @ inverse @ turned.mT + rho * s @ s.mT
    return torch.where((usable & found.isfinite().all(-1).all(-1))[..., None, None], found, inverse)


def _widths(log_joint: _Graded, place: Tensor, value: Tensor, scale: Tensor) -> Tensor:
    """Return square roots of covariances, ``(m, n, d, d)``: columns are the axes times their widths."""
    root = scale.expand(place.shape)
    step = torch.full_like(value, 1e-3)
    values, axes = torch.linalg.eigh(_curvature(log_joint, place, root, step))
    width = values.clamp_min(1.0).rsqrt()
    if place.shape[-1] > _PROFILED:
        return root.unsqueeze(-1) * axes * width.unsqueeze(-2)
    # Once more with steps that are shorter than the peak is wide: a narrow ridge has another direction on its flanks.
    step = (0.1 * width.amin(-1)).clamp(1e-8, 1e-3)
    values, axes = torch.linalg.eigh(_curvature(log_joint, place, root, step))
    axes, width = root.unsqueeze(-1) * axes, values.clamp_min(1.0).rsqrt()
    return axes * _profiled(log_joint, place, value, axes, width).unsqueeze(-2)


def _curvature(log_joint: _Graded, place: Tensor, root: Tensor, step: Tensor) -> Tensor:
    """Return negative Hessians in units of the prior's deviations, in which the prior's own is about 1."""
    away = torch.diag_embed(step.unsqueeze(-1) * root).movedim(-1, 0)  # (d, m, n, d)
    fall = log_joint.gradient(place - away) - log_joint.gradient(place + away)
    found = (root * fall / (2 * step.unsqueeze(-1))).movedim(0, -1)
    found = (found + found.mT) / 2
    return torch.where(found.isfinite(), found, 0.0)


def _profiled(log_joint: _Graded, place: Tensor, value: Tensor, axes: Tensor, width: Tensor) -> Tensor:
    """Measure, on both sides of every axis, where the log-density has fallen by a half."""
    reach = torch.tensor(_REACH, dtype=place.dtype, device=place.device)
    sides = torch.cat([reach, -reach]).view(-1, 1, 1, 1)
    found = []
    for j in range(place.shape[-1]):
        along = axes[..., j] * width[..., j, None]
        fallen = (value - log_joint.value(place + sides * along)).unflatten(0, (2, -1))
        nearest = (fallen.clamp(1e-12, 1e12).log() - torch.tensor(0.5).log()).abs().argmin(1)
        there = fallen.gather(1, nearest.unsqueeze(1)).squeeze(1).clamp(1e-3, 1e3)
        each = reach[nearest] * (0.5 / there).sqrt()
        found.append(width[..., j] * each.square().mean(0).sqrt())
    return torch.stack(found, -1)

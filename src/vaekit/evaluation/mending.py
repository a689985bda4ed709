r"""Importance sampling for rows whose posterior is no proposal: outliers, above all.

Far from the data an encoder's posterior runs away, and its draws miss the mass of :math:`p(x, z)`. Here a row has a
proposal of its own, a mixture of

* the prior, for a tenth of the draws, so that no weight is above :math:`10\, p(x \mid z)` (Hesterberg, 1995, "Weighted
  Average Importance Sampling and Defensive Mixture Distributions", Technometrics 37);
* the posterior, for another tenth, where its density is known at draws of others;
* Student-t distributions around the modes of :math:`p(x, z)` (:mod:`vaekit.evaluation.modes`), which are fitted to
  weighted draws twice (Cappé, Douc, Guillin, Marin and Robert, 2008, "Adaptive Importance Sampling in General Mixture
  Classes", Statistics and Computing 18).

The draws behind the estimate are made after the proposal is settled, so it is a lower bound in expectation, as ever.
All is done in double precision: the log-density of a row a million deviations away is of the order of -1e12. Where
latents are not vectors of real numbers, or there is no gradient, the mixture is made of the prior and the posterior.
"""

import copy
from math import lgamma, log, pi, prod
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Gamma

from vaekit.contracts import Model, traits_of
from vaekit.evaluation.log_weights import proposal
from vaekit.evaluation.modes import find_peaks
from vaekit.evaluation.pareto import largest_weights, pareto_shape
from vaekit.evaluation.probe import is_euclidean
from vaekit.runtime.randomness import seeded
from vaekit.vae import VAE, code_of

__all__ = ["MendedRows", "can_be_mended", "in_double_precision", "mend_rows"]

_ROWS = 64  # at a time
_LEAST_DRAWS, _MOST_DRAWS = 256, 1024  # in a round
_ROUNDS_OF_FITTING, _MOST_ROUNDS = 2, 4
_GOAL, _TOLERATED = 0.03, 0.1  # nats: a standard error that ends the drawing, and one that may be the last
_FEW_DIMENSIONS = 6  # where a wider search is worth its time
_APART = 1.0  # deviations of the prior between starts
_CANDIDATES = 48  # draws of the prior among which a start is looked for, at several scales
_SCALES = (0.3, 1.0, 4.0, 16.0, 64.0)
_SHRUNK = (0.0, 1 / 256, 1 / 16, 1 / 4, 1 / 2, 3 / 4)


class MendedRows(NamedTuple):
    """Estimates of the rows that were mended, all ``(n,)`` float64 on the CPU.

    Parameters
    ----------
    values
        Of log p(x), in nats.
    effective_sample_size, standard_error, pareto_shape
        As in :class:`vaekit.evaluation.LogLikelihood`.
    draws
        The number of draws behind each value.
    """

    values: Tensor
    effective_sample_size: Tensor
    standard_error: Tensor
    pareto_shape: Tensor
    draws: Tensor


def can_be_mended(p: Distribution) -> bool:
    """Return whether the prior can be a proposal: its density is exact."""
    return traits_of(p).bound_samples is None


def mend_rows(
    model: Model, x: Tensor, c: Tensor | None, *, samples: int, seed: int, common_noise: bool, memory: int
) -> MendedRows:
    """Estimate log p(x) of rows ``(n, *event)`` with proposals of their own.

    Parameters
    ----------
    model, x, c
        As for :func:`vaekit.evaluation.log_likelihood`.
    samples
        The samples that were asked for: a quarter of them, but from 256 to 1024, are drawn in each of some rounds.
    seed
        The seed of all noise.
    common_noise
        Whether all rows have the same noise: a row's value is then a function of the row and the seed.
    memory
        About how many bytes an intermediate result may take.
    """
    with torch.inference_mode(False), torch.no_grad():
        model, x, c = in_double_precision(model, x, c)
        found = []
        latents = prod(model.prior(None if c is None else c[:1]).event_shape)
        size = max(1, min(_ROWS, memory // (_bytes_a_row(model, x)), memory // (32 * _MOST_DRAWS * latents)))
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            rows = _Rows(
                model,
                x[part],
                None if c is None else c[part],
                seed=seed if common_noise else seed + 1000 * start,
                common_noise=common_noise,
                memory=memory,
            )
            found.append(rows.estimate(min(max(samples // 4, _LEAST_DRAWS), _MOST_DRAWS)))
    return MendedRows(*(torch.cat(terms) for terms in zip(*found, strict=True)))


def _bytes_a_row(model: Model, x: Tensor) -> int:
    features = prod(model.likelihood_part.feature_shape) if isinstance(model, VAE) else 0
    return 6 * 8 * max(prod(x.shape[1:]), features, 256)


def in_double_precision(model: Model, x: Tensor, c: Tensor | None) -> tuple[Model, Tensor, Tensor | None]:
    """Return a copy of a model in double precision, with data and conditions; as they are where it knows no other."""
    if not isinstance(model, nn.Module):  # callables: nothing can be done about their precision
        return model, x.clone(), None if c is None else c.clone()
    device = torch.device("cpu") if x.device.type == "mps" else x.device  # which knows no double precision
    double = copy.deepcopy(model).to(device, torch.float64).eval().requires_grad_(False)
    double_x = x.to(device, torch.float64, copy=True)
    double_c = None if c is None else c.to(device, torch.float64, copy=True)
    first_c = None if double_c is None else double_c[:1]
    if not _works_in_double_precision(cast(Model, double), double_x[:1], first_c):
        return model, x.clone(), None if c is None else c.clone()
    return cast(Model, double), double_x, double_c


def _works_in_double_precision(model: Model, x: Tensor, c: Tensor | None) -> bool:
    """Return whether a model's draws are in double precision: a part of one's own may make tensors of float32."""
    try:
        with seeded(0):
            z = model.prior(c).sample()
            z = z.expand(1, *z.shape) if c is None else z
            draws = [z, model.encode(x, c).sample(), model.decode(z, c).log_prob(x)]
    except RuntimeError:
        return False
    return all(draw.dtype == torch.float64 for draw in draws)


class _Rows:
    """Some rows, and the mixtures that they are estimated with."""

    def __init__(
        self, model: Model, x: Tensor, c: Tensor | None, *, seed: int, common_noise: bool, memory: int
    ) -> None:
        self.model, self.x, self.c, self.memory = model, x, c, memory
        self.seed, self.common_noise = seed, common_noise
        with seeded(seed):
            self.q, self.p = proposal(model, x, c), model.prior(c)
        self.event = self.p.event_shape
        self.d = prod(self.event)
        # float32 where the callables know no other
        self.dtype = x.dtype if x.is_floating_point() else torch.float64
        self.knows_posterior = not traits_of(self.q).scores_own_draws_only
        self.at_once = max(1, memory // (_bytes_a_row(model, x) * len(x)))
        self.peaks: tuple[Tensor, Tensor, Tensor] | None = None  # places, factors, log-shares

    def log_joint(self, z: Tensor) -> Tensor:
        """Evaluate ``(..., n, d)``."""
        z = z.reshape(*z.shape[:-1], *self.event)
        return self.model.decode(z, self.c).log_prob(self.x) + self.p.log_prob(z)

    def in_parts(self, z: Tensor) -> Tensor:
        """Evaluate ``(samples, n, d)`` under the cap of memory; not a number counts as no density."""
        return _no_nan(torch.cat([self.log_joint(part) for part in z.split(self.at_once)]))

    def draw(self, of: str, count: int, turn: int) -> Tensor:
        """Draw ``(count, n, d)`` from the prior or the posterior."""
        if of == "posterior" and isinstance(self.model, VAE) and not self.model.has_density:
            noise = self.noise(count, turn, None).reshape(count, *self.q.batch_shape, *self.event)
            return (self.q.mean + self.q.stddev * noise).reshape(count, -1, self.d)
        n = len(self.x)
        if of == "prior" and not self.p.batch_shape:
            with seeded(self.seed + 2 * turn):
                z = self.p.sample(torch.Size((count, 1 if self.common_noise else n)))
            return z.reshape(count, -1, self.d).expand(-1, n, -1)
        if not self.common_noise:
            with seeded(self.seed + 2 * turn):
                z = (self.p if of == "prior" else self.q).sample(torch.Size((count,)))
            return z.reshape(count, n, self.d)
        if of == "posterior":

            def draw_row(row: Tensor, row_c: Tensor | None) -> Tensor:
                q = self.model.encode(row[None], None if row_c is None else row_c[None])
                return q.rsample(torch.Size((count,))).reshape(count, self.d)

            with seeded(self.seed + 2 * turn):  # whatever the family, the same noise for every row
                in_dims = (0, None if self.c is None else 0)
                return torch.func.vmap(draw_row, in_dims=in_dims, out_dims=1, randomness="same")(
                    self.x, self.c
                )
        drawn = []
        for i in range(n):
            one = self.model.prior(None if self.c is None else self.c[i : i + 1])
            with seeded(self.seed + 2 * turn):
                drawn.append(one.sample(torch.Size((count,))).reshape(count, self.d))
        return torch.stack(drawn, 1)

    def noise(self, count: int, turn: int, degrees: float | None) -> Tensor:
        """Draw Student-t noise ``(count, n, d)``, or Gaussian without degrees of freedom."""
        rows = 1 if self.common_noise else len(self.x)
        with seeded(self.seed + 2 * turn + 1):
            noise = torch.randn(count, rows, self.d, dtype=self.dtype)
            if degrees is not None:
                half = torch.tensor(degrees / 2, dtype=self.dtype)
                noise = noise * (half / Gamma(half, 1.0).sample(torch.Size((count, rows, 1)))).sqrt()
        return noise.to(self.x.device).expand(-1, len(self.x), -1)

    def estimate(self, draws: int) -> tuple[Tensor, ...]:
        """Settle the proposals, and estimate."""
        if is_euclidean(self.model, self.q, self.p):
            self._find_peaks()
            for turn in range(_ROUNDS_OF_FITTING if self.peaks is not None else 0):
                self._fit(draws, turn)
        results = torch.zeros(5, len(self.x), dtype=torch.float64, device=self.x.device)
        rows, left = self, torch.arange(len(self.x), device=self.x.device)
        log_weight = results.new_zeros(0, len(left))
        for turn in range(_MOST_ROUNDS):
            z, mixture, _ = rows._propose(draws, 10 + turn)
            log_weight = torch.cat([log_weight, rows.in_parts(z) - mixture])
            results[:, left] = torch.stack(_summarise(log_weight))
            error = results[2, left]
            # Where even all rounds would not be enough by far, no more are drawn.
            hopeless = error * ((turn + 1) / _MOST_ROUNDS) ** 0.5 > _TOLERATED
            on = ~((error <= _GOAL) | hopeless)
            if not bool(on.any()):
                break
            if not bool(on.all()):
                rows, left, log_weight = rows._only(on.nonzero()[:, 0]), left[on], log_weight[:, on]
        return tuple(results.cpu())

    def _only(self, rows: Tensor) -> "_Rows":
        """Return some of the rows, with their proposals."""
        c = None if self.c is None else self.c[rows]
        some = _Rows(
            self.model, self.x[rows], c, seed=self.seed, common_noise=self.common_noise, memory=self.memory
        )
        if self.peaks is not None:
            place, factor, log_share = self.peaks
            some.peaks = place[:, rows], factor[:, rows], log_share[:, rows]
        return some

    def _find_peaks(self) -> None:
        prior = self.draw("prior", max(_CANDIDATES, 2), 3)
        # The prior's own spread, of its draws: priors need not know their deviations.
        centre, scale = prior.mean(0), prior.std(0).clamp_min(1e-6)
        mean = self._posterior_mean(centre)
        few = self.d <= _FEW_DIMENSIONS
        spread = [centre + size * (prior - centre) for size in (_SCALES if few else (1.0,))]
        shrunk = torch.stack([centre + share * (mean - centre) for share in _SHRUNK])
        candidates = torch.cat([*spread, shrunk, mean[None]])
        chosen = _apart(candidates, self.in_parts(candidates), scale, max(1, 10 - 2 * self.d))
        starts = torch.cat([centre[None], mean[None], chosen] if few else [mean[None], chosen])
        found = find_peaks(self.log_joint, starts, scale, at_once=self.at_once)
        if found is None:
            return
        log_volume = torch.linalg.slogdet(found.factor)[1]
        mass = _no_nan(found.value + log_volume)
        mass = torch.where(mass.isinf().all(0), 0.0, mass)
        self.peaks = (found.place, 1.2 * found.factor, (0.3 * mass).log_softmax(0))

    def _posterior_mean(self, otherwise: Tensor) -> Tensor:
        mean = code_of(self.q).reshape(-1, self.d)
        return torch.where(mean.isfinite().all(-1, keepdim=True), mean, otherwise)

    def _propose(self, draws: int, turn: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Draw from the mixtures: draws ``(K, n, d)``, their log-density ``(K, n)``, and each peak's part of it."""
        tenth = -(-draws // 10)
        of_posterior = 0 if not self.knows_posterior else tenth if self.peaks is not None else draws // 2
        of_prior = tenth if self.peaks is not None else draws - of_posterior
        of_peaks = draws - of_prior - of_posterior
        drawn = [self.draw("prior", of_prior, 2 * turn)]
        if of_posterior:
            drawn.append(self.draw("posterior", of_posterior, 2 * turn + 1))
        log_share, factor, place = None, None, None
        if self.peaks is not None:
            place, factor, log_share = self.peaks
            degrees = 5.0 + self.d
            # Systematic: as many draws of each peak as its share says, whatever the noise.
            ladder = (torch.arange(of_peaks, device=self.x.device, dtype=torch.float64) + 0.5) / of_peaks
            which = (ladder[:, None, None] > log_share.exp().cumsum(0)[:-1].T).sum(-1)  # (K, n)
            counts = torch.nn.functional.one_hot(which, len(place)).sum(0).T
            log_share = (counts / draws).log()
            every = place.unsqueeze(1) + torch.einsum(
                "mnde,kne->mknd", factor, self.noise(of_peaks, turn, degrees)
            )
            drawn.append(every.gather(0, which[None, :, :, None].expand(1, -1, -1, self.d))[0])
        z = torch.cat(drawn)
        z = z.where(z.isfinite(), 0.0) if not bool(z.isfinite().all()) else z
        shaped = z.reshape(*z.shape[:-1], *self.event)
        terms = [log(of_prior / draws) + _no_nan(self.p.log_prob(shaped))]
        broken = torch.zeros(len(self.x), dtype=torch.bool, device=self.x.device)
        if of_posterior:
            density = self.q.log_prob(shaped).double()
            # A posterior that is not a number somewhere proposes nothing: its draws have no weight.
            broken = density.isnan().any(0) | ~drawn[1].isfinite().all(-1).all(0)
            density = torch.where(broken, -torch.inf, density)
            terms.append(log(of_posterior / draws) + density)
        by_peak = None
        if place is not None and factor is not None and log_share is not None:
            by_peak = log_share[:, None] + _student(z, place, factor, 5.0 + self.d)
            terms.append(by_peak.logsumexp(0))
        mixture = torch.stack(terms).logsumexp(0)
        if of_posterior:
            mine = slice(of_prior, of_prior + of_posterior)
            mixture[mine] = torch.where(broken, torch.inf, mixture[mine])
        return z, mixture, by_peak

    def _fit(self, draws: int, turn: int) -> None:
        """Move the peaks' mixture to weighted draws, as far as there are enough."""
        z, mixture, by_peak = self._propose(draws, turn)
        if self.peaks is None or by_peak is None:
            return
        place, factor, log_share = self.peaks
        log_weight = self.in_parts(z) - mixture
        weight = _zero_for_nan(_no_nan(log_weight).softmax(0))  # (K, n)
        mine = weight * _zero_for_nan((by_peak - by_peak.logsumexp(0)).exp())  # (m, K, n)
        mine = mine.to(z.dtype)  # a part that knows only float32 may sit beside others that count in float64
        mass = mine.sum(1)
        size = mass.square() / mine.square().sum(1).clamp_min(1e-300)
        share = mine / mass.clamp_min(1e-300).unsqueeze(1)
        mean = torch.einsum("mkn,knd->mnd", share, z)
        trust = (size / (size + self.d + 2))[..., None]
        moved = place + trust * (mean - place)
        centred = z.unsqueeze(0) - moved.unsqueeze(1)
        spread = torch.einsum("mkn,mknd,mkne->mnde", share, centred, centred)
        trust = trust.unsqueeze(-1)
        spread = trust * spread + (1 - trust) * factor @ factor.mT
        found, failed = torch.linalg.cholesky_ex(spread)
        fine = (failed == 0) & found.isfinite().all(-1).all(-1) & (mass > 1e-6)
        share = (0.9 * mass + 0.1 * log_share.exp()).clamp_min(0.01).to(log_share.dtype)
        self.peaks = (
            torch.where(fine[..., None], moved, place),
            torch.where(fine[..., None, None], found, factor),
            (share / share.sum(0)).log(),
        )


def _apart(candidates: Tensor, value: Tensor, scale: Tensor, count: int) -> Tensor:
    """Choose the best candidates ``(count, n, d)`` that are not near each other."""
    chosen = []
    for _ in range(count):
        best = value.argmax(0)[None, :, None].expand(1, -1, candidates.shape[-1])
        chosen.append(candidates.gather(0, best))
        near = ((candidates - chosen[-1]) / scale).norm(dim=-1) < _APART
        value = torch.where(near, -torch.inf, value)
    return torch.cat(chosen)


def _zero_for_nan(weight: Tensor) -> Tensor:
    return torch.where(weight.isnan(), 0.0, weight)


def _no_nan(log_density: Tensor) -> Tensor:
    return torch.where(log_density.isnan(), -torch.inf, log_density.double())


def _student(z: Tensor, place: Tensor, factor: Tensor, degrees: float) -> Tensor:
    """Log-densities ``(m, K, n)`` of draws ``(K, n, d)`` under Student-t distributions."""
    d = z.shape[-1]
    away = (z.unsqueeze(0) - place.unsqueeze(1)).movedim(1, -1)  # (m, n, d, K)
    squares = torch.linalg.solve(factor, away).square().sum(-2).movedim(-1, 1)
    constant = lgamma((degrees + d) / 2) - lgamma(degrees / 2) - 0.5 * d * log(degrees * pi)
    log_volume = torch.linalg.slogdet(factor)[1].unsqueeze(1)
    return constant - log_volume - 0.5 * (degrees + d) * torch.log1p(squares / degrees)


def _summarise(log_weight: Tensor) -> tuple[Tensor, ...]:
    """Estimate from log-weights ``(K, n)``: value, effective size, standard error, shape and number of draws."""
    draws = len(log_weight)
    value = log_weight.logsumexp(0) - log(draws)
    relative = (log_weight - torch.where(value.isfinite(), value, 0.0)).exp()
    size = relative.sum(0).square() / relative.square().sum(0)
    size = torch.where(value.isfinite(), size, 1.0)
    error = (1 / size - 1 / draws).clamp_min(0).sqrt()
    shape = pareto_shape(largest_weights(log_weight))
    return value, size, error, shape, torch.full_like(value, draws)

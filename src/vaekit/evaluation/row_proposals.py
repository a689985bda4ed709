r"""The proposals of rows whose posterior is none: mixtures around the modes of :math:`p(x, z)`, fitted to draws.

A row's mixture has the prior, the posterior, and Student-t distributions; :mod:`vaekit.evaluation.mending` says why.
"""

from math import lgamma, log, pi, prod

import torch
from torch import Tensor
from torch.distributions import Gamma

from vaekit.contracts import Model, traits_of
from vaekit.evaluation.log_weights import proposal
from vaekit.evaluation.modes import find_peaks
from vaekit.evaluation.pareto import largest_weights, pareto_shape
from vaekit.evaluation.probe import is_euclidean
from vaekit.runtime.randomness import seeded
from vaekit.vae import VAE, code_of

__all__ = ["RowProposals", "bytes_a_row"]

_ROUNDS_OF_FITTING, _MOST_ROUNDS = 2, 4
_GOAL, _TOLERATED = 0.03, 0.1  # nats: a standard error that ends the drawing, and one that may be the last
_FEW_DIMENSIONS = 6  # where a wider search is worth its time
_APART = 1.0  # deviations of the prior between starts
_CANDIDATES = 48  # draws of the prior among which a start is looked for, at several scales
_SCALES = (0.3, 1.0, 4.0, 16.0, 64.0)
_SHRUNK = (0.0, 1 / 256, 1 / 16, 1 / 4, 1 / 2, 3 / 4)


def bytes_a_row(model: Model, x: Tensor) -> int:
    """Return about how much memory one row takes in an evaluation of its densities."""
    features = prod(model.likelihood_part.feature_shape) if isinstance(model, VAE) else 0
    return 6 * 8 * max(prod(x.shape[1:]), features, 256)


class RowProposals:
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
        self.at_once = max(1, memory // (bytes_a_row(model, x) * len(x)))
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
        self._settle(draws)
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

    def weighted(self, draws: int) -> tuple[Tensor, Tensor]:
        """Settle the proposals, and draw from them: latents ``(draws, n, *event)`` and their log-weights."""
        self._settle(draws)
        z, mixture, _ = self._propose(draws, 10)
        return z.reshape(*z.shape[:-1], *self.event), self.in_parts(z) - mixture

    def _settle(self, draws: int) -> None:
        if is_euclidean(self.model, self.q, self.p):
            self._find_peaks()
            for turn in range(_ROUNDS_OF_FITTING if self.peaks is not None else 0):
                self._fit(draws, turn)

    def _only(self, rows: Tensor) -> "RowProposals":
        """Return some of the rows, with their proposals."""
        c = None if self.c is None else self.c[rows]
        some = RowProposals(
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

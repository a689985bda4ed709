"""Check whether ``vae_loss`` is a negative ELBO, and if not, find what it minimises.

At fixed sizes any such loss is ``a * R + b * K``, where R is a reconstruction loss and K a divergence, each summed
over batch and dimensions. The two factors are solved for with each known R and K. How they change with the sizes
shows the reductions, and their ratio gives beta.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaekit.classroom.calling import Callee, Way, arrays_of, find_sizes, ways_to_call
from vaekit.classroom.examine_terms import check_input, mean_over_pixels
from vaekit.classroom.findings import Finding, Verdict, best_verdict
from vaekit.classroom.patterns import (
    KL,
    RECONSTRUCTIONS,
    Pattern,
    kl_features,
    kl_patterns,
    reconstruction_features,
)
from vaekit.classroom.roles import declared_input, declared_spread

__all__ = ["examine_loss"]

Array = NDArray[np.float64]
PARTS = ("reconstruction", "data", "mean", "spread")
FREE = [(5, 7), (4, 11), (6, 3)]
CODES = 4
CALLS = 6


@dataclass(frozen=True)
class _Fit:
    """The factors of R and of K, summed over everything, for one batch size and number of pixels."""

    batch: int
    width: int
    recon: float
    kl: float


_Divisor = Callable[[_Fit], int]


def examine_loss(callee: Callee, decoder: str | None = None) -> Verdict:
    """Examine a loss of (reconstruction, data, mu, log-variance), in the order that names or values show."""
    return best_verdict(ways_to_call(callee, PARTS, FREE), lambda way: _examine(callee, way, decoder))


def _examine(callee: Callee, way: Way, decoder: str | None) -> Verdict:
    generator = np.random.default_rng(3)

    def call(callee: Callee, batch: int, width: int) -> tuple[dict[str, Array], list[Array]]:
        given = {part: generator.uniform(0.1, 0.9, (batch, width)) for part in ("reconstruction", "data")}
        given["mean"] = generator.normal(size=(batch, CODES))
        given["spread"] = generator.uniform(0.3, 1.7, (batch, CODES))
        return given, arrays_of(callee(*way.arguments(given, batch, width)))

    sizes = find_sizes(callee, call, way.ladder)
    calls = {size: [call(callee, *size) for _ in range(CALLS)] for size in sizes}
    first = calls[sizes[0]][0][1]
    if not first:
        return Verdict({}, [Finding("wrong-shape", "it gives no number and no array")])
    name, input_name = callee.parameter(way, "spread"), callee.parameter(way, "reconstruction")
    declared = declared_spread(name)
    patterns = sorted(kl_patterns(1), key=lambda p: (len(p.mistakes), p.style != declared))
    tables = [_table(size, pairs, patterns, _total(first)) for size, pairs in calls.items()]
    for i, recon in enumerate(RECONSTRUCTIONS):
        for j, kl in enumerate(patterns):
            fits = _solve(tables, i, j)
            if fits is not None:
                return _name(fits, recon, kl, callee, name, input_name, decoder, first[0].shape)
    seen = np.array2string(first[_total(first)], precision=4, threshold=5)
    text = f"it gave {seen}, which is not a weighted sum of a reconstruction loss and the divergence, {KL}"
    return Verdict({}, [Finding("wrong-value", text)])


def _total(results: list[Array]) -> int:
    """Return the index of the loss: the result that is the sum of two others, or else the first."""
    if len(results) >= 3:
        for i in range(len(results)):
            others = [results[j] for j in range(3) if j != i]
            if i < 3 and np.allclose(results[i], abs(others[0]) + abs(others[1]), rtol=1e-6):
                return i
    return 0


@dataclass(frozen=True)
class _Table:
    """All calls of one size: the value that each pattern of R and of K gives, and the results."""

    batch: int
    width: int
    recon: Array  # (patterns of R, results)
    kl: Array  # (patterns of K, results)
    results: Array


def _table(size: tuple[int, int], pairs: list[Any], kl_patterns: list[Pattern], which: int) -> _Table | None:
    recon, kl, results = [], [], []
    for given, returned in pairs:
        y = returned[which].reshape(-1)
        if len(y) not in (1, size[0]) or not np.isfinite(y).all():
            return None
        features = reconstruction_features(given["reconstruction"], given["data"])
        r = _sums(features, RECONSTRUCTIONS)  # (patterns, batch)
        k = _sums(kl_features(given["mean"], given["spread"]), kl_patterns)
        whole = len(y) == 1
        recon.append(r.sum(axis=1, keepdims=True) if whole else r)
        kl.append(k.sum(axis=1, keepdims=True) if whole else k)
        results.append(y)
    return _Table(*size, np.concatenate(recon, axis=1), np.concatenate(kl, axis=1), np.concatenate(results))


def _sums(features: dict[str, Array], patterns: list[Pattern]) -> Array:
    weights = np.array([[pattern.weights.get(name, 0.0) for name in features] for pattern in patterns])
    return weights @ np.stack([feature.sum(axis=1) for feature in features.values()])


def _solve(tables: list[_Table | None], i: int, j: int) -> list[_Fit] | None:
    """Return the two factors at each size, or None if the pair does not give the results."""
    fits = []
    for table in tables:
        if table is None:
            return None
        A = np.stack([table.recon[i], table.kl[j]], axis=1)
        factors, *_ = np.linalg.lstsq(A, table.results, rcond=None)
        error = np.abs(A @ factors - table.results).max()
        if error > 1e-5 * np.abs(table.results).max() or abs(factors[0]) < 1e-12:
            return None
        fits.append(_Fit(table.batch, table.width, *map(float, factors)))
    return fits


def _divided(
    fits: list[_Fit], factors: list[float], choices: dict[str, _Divisor]
) -> tuple[str, float] | None:
    """Return the divisor that leaves the factors constant over the sizes, and that constant, or None."""
    found: list[tuple[str, float]] = []
    for name, divisor in choices.items():
        constants = [factor * divisor(fit) for factor, fit in zip(factors, fits, strict=True)]
        if np.ptp(constants) < 1e-4 * abs(constants[0]) or max(map(abs, constants)) < 1e-9:
            found.append((name, constants[0]))
    found.sort(key=lambda item: min(abs(abs(item[1]) - plain) for plain in (1.0, 2.0)) > 1e-3)
    return found[0] if found else None


def _times(first: _Divisor, second: _Divisor) -> _Divisor:
    return lambda fit: first(fit) * second(fit)


def _width(fit: _Fit) -> int:
    return fit.width


def _name(
    fits: list[_Fit],
    recon: Pattern,
    kl: Pattern,
    callee: Callee,
    spread_name: str,
    input_name: str,
    decoder: str | None,
    shape: tuple[int, ...],
) -> Verdict:
    per_example = max(shape, default=1) == fits[0].batch and len(shape) > 0
    batch: dict[str, _Divisor] = {"": lambda fit: 1}
    if not per_example:
        batch["batch"] = lambda fit: fit.batch
    pixels = {**batch, **{f"{key}*pixels": _times(divisor, _width) for key, divisor in batch.items()}}
    recon_by = _divided(fits, [fit.recon for fit in fits], pixels)
    codes = {f"{key}*codes": _times(divisor, lambda fit: CODES) for key, divisor in batch.items()}
    kl_by = _divided(fits, [fit.kl for fit in fits], {**pixels, **codes})
    if recon_by is None or kl_by is None:
        text = "the weights of its two terms change with the sizes in a way that is neither a mean nor a sum"
        return Verdict({}, [Finding("wrong-value", text)])
    (recon_how, a), (kl_how, b) = recon_by, kl_by
    findings = [Finding(code, f"{detail}.") for code, detail in recon.mistakes]
    findings += [Finding(code, f"{detail}; the divergence is {KL}") for code, detail in kl.mistakes]
    findings += _declared(recon, kl, spread_name, input_name, decoder)
    if a < 0 and b < 0:
        a, b = -a, -b
        if "elbo" not in callee.name.lower().replace("_", "") or "neg" in callee.name.lower():
            findings.append(Finding("sign", "it is the ELBO; the loss to be minimised is its negative"))
    if abs(b) < 1e-9 * abs(a):
        findings.append(Finding("missing-term", f"the KL is missing; the divergence is {KL}"))
        return Verdict({"likelihood": recon.style}, findings)
    if b < 0 or a < 0:
        findings.append(Finding("sign", "loss = reconstruction + KL; here one of the two is subtracted"))
        a, b = abs(a), abs(b)
    weight = b / a
    findings += _weights(recon, recon_how, kl_how, weight, fits)
    reduction = (
        "per example" if per_example else f"{'mean' if 'batch' in recon_how else 'summed'} over the batch"
    )
    gaussian = recon.style.startswith("Gaussian")
    trade = f"decoder variance {weight:.4g}" if gaussian else f"beta {weight:.4g}"
    in_nats = "pixels" not in recon_how + kl_how and "codes" not in kl_how
    style = {
        "likelihood": recon.style.split(", variance")[0],
        "spread": kl.style,
        "reduction": reduction,
        "trade": trade if in_nats else "",
    }
    return Verdict(style, findings)


def _declared(
    recon: Pattern, kl: Pattern, spread_name: str, input_name: str, decoder: str | None
) -> list[Finding]:
    findings = check_input(recon, declared_input(input_name), input_name, decoder)
    declared = declared_spread(spread_name)
    if declared is not None and declared != kl.style and not kl.mistakes:
        text = f"by its name the argument {spread_name} is a {declared}, but the KL uses it as a {kl.style}"
        findings.append(Finding("spread-mixed-up", text))
    return findings


def _weights(recon: Pattern, recon_how: str, kl_how: str, weight: float, fits: list[_Fit]) -> list[Finding]:
    findings = []
    width = fits[0].width if len({fit.width for fit in fits}) == 1 else None
    over_pixels, kl_over_pixels = "pixels" in recon_how, "pixels" in kl_how
    if ("batch" in recon_how) != ("batch" in kl_how):
        summed, averaged = ("KL", "reconstruction") if "batch" in recon_how else ("reconstruction", "KL")
        beta = "B" if summed == "KL" else "1/B"
        text = (
            f"the {summed} is summed over the batch and the {averaged} averaged: with batches of B examples "
            f"this is a beta-VAE with beta = {beta}; reduce both in the same way"
        )
        findings.append(Finding("batch-reductions-differ", text))
    if "codes" in kl_how:
        text = "the KL is averaged over the k latent dimensions: a beta-VAE with beta = 1/k; sum over the dimensions"
        findings.append(Finding("mean-for-sum", text))
    if over_pixels and not kl_over_pixels:
        findings.append(mean_over_pixels(recon, weight, width))
        return findings
    if kl_over_pixels and not over_pixels:
        text = "the KL is divided by the number of pixels: a beta-VAE with beta = 1/D; divide both terms or neither"
        findings.append(Finding("mean-for-sum", text))
    if over_pixels and kl_over_pixels:
        text = "both terms are divided by the number of pixels: a right loss, but not in nats per image"
        findings.append(Finding("scaled", text, severity="note"))
    if abs(weight - 2) < 1e-4:
        findings.append(Finding("missing-half", f"the KL counts twice; the divergence is {KL}"))
    elif abs(weight - 1) > 1e-4 and recon.style.startswith("Gaussian"):
        text = f"with the KL in nats this is a Gaussian decoder of variance {weight:.4g}, and beta = 1"
        findings.append(Finding("decoder-variance", text, severity="note"))
    elif abs(weight - 1) > 1e-4:
        text = f"the KL has weight {weight:.4g}: a beta-VAE with beta = {weight:.4g}, not a bound on log p(x)"
        findings.append(Finding("weighted", text, severity="note"))
    return findings

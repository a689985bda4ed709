r"""Recognise a loss, and the mistakes in it, by its values.

Each element of a loss is a weighted sum of known features, such as :math:`\mu^2`, :math:`e^s`, :math:`s` and 1. A
right loss has one of a few weight vectors, and each mistake changes it: a missing 1/2 doubles all weights, a missing
-1 sets one to zero. So mistakes are listed as weight vectors with names. A loss is recognised by the weight vector,
and the reduction over batch and dimensions, that give all the values it returned.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "KL",
    "RECONSTRUCTIONS",
    "Edit",
    "Pattern",
    "Probe",
    "Reduction",
    "kl_features",
    "kl_patterns",
    "match",
    "proportional",
    "reconstruction_features",
    "with_mistakes",
]

Array = NDArray[np.float64]
Weights = dict[str, float]


@dataclass(frozen=True)
class Pattern:
    """Weights of features, with the convention that they follow and the mistakes they contain."""

    weights: Weights
    style: str
    mistakes: tuple[tuple[str, str], ...] = ()  # (code, detail)


@dataclass(frozen=True)
class Edit:
    """One mistake: its code, its description, and the change to each part of a formula (a factor, or new weights)."""

    code: str
    detail: str
    parts: Mapping[str, float | Weights]
    cost: float = 1.0


@dataclass(frozen=True)
class Reduction:
    """A sum or mean over elements (batch, width): the axes, and whether it divides by their sizes."""

    name: str
    axis: int | tuple[int, ...] | None  # None: not reduced
    mean_batch: bool
    mean_width: bool


_REDUCTIONS = (
    Reduction("summed over the batch", (0, 1), False, False),
    Reduction("mean over the batch", (0, 1), True, False),
    Reduction("per example", 1, False, False),
    Reduction("per element", None, False, False),
    Reduction("mean over everything", (0, 1), True, True),
    Reduction("summed over the batch, mean over the dimensions", (0, 1), False, True),
    Reduction("per example, mean over the dimensions", 1, False, True),
    Reduction("summed over the batch for each dimension", 0, False, False),
    Reduction("mean over the batch for each dimension", 0, True, False),
)


@dataclass(frozen=True)
class Probe:
    """One call: the features of its arguments, each (batch, width), and the result."""

    features: dict[str, Array]
    result: Array


def _reduce(elements: Array, reduction: Reduction) -> Array:
    """Apply a reduction to the trailing (batch, width) of ``elements``."""
    batch, width = elements.shape[-2:]
    if reduction.axis is not None:
        axes = reduction.axis if isinstance(reduction.axis, tuple) else (reduction.axis,)
        elements = elements.sum(axis=tuple(axis - 2 for axis in axes))
    return elements / ((batch if reduction.mean_batch else 1) * (width if reduction.mean_width else 1))


def match(
    probes: list[Probe], patterns: list[Pattern], *, tolerance: float = 1e-5
) -> tuple[Pattern, Reduction] | None:
    """Return the first pattern and reduction that give the result of every probe, or None.

    Give the right patterns first, and then those with mistakes, the simplest first.
    """
    names = list(probes[0].features)
    weights = np.array([[pattern.weights.get(name, 0.0) for name in names] for pattern in patterns])
    best: tuple[int, Pattern, Reduction] | None = None
    for order, reduction in enumerate(_REDUCTIONS):
        fits = np.ones(len(patterns), dtype=bool)
        for probe in probes:
            features = np.stack([_reduce(probe.features[name], reduction) for name in names])
            result = _squeeze_like(probe.result, features.shape[1:])
            if result is None:
                fits[:] = False
                break
            predicted = np.tensordot(weights[fits], features, axes=1).reshape(int(fits.sum()), -1)
            wanted = result.reshape(-1)
            scale = 1e-9 + np.abs(wanted).max()
            fits[fits] = np.abs(predicted - wanted).max(axis=1) < tolerance * scale
            if not fits.any():
                break
        for index in np.flatnonzero(fits)[:1]:
            mean_width = reduction.mean_width or reduction.axis == 0
            cost = 100 * (len(patterns[index].mistakes) + mean_width) + order
            if best is None or cost < best[0]:
                best = (cost, patterns[index], reduction)
    return None if best is None else best[1:]


def _squeeze_like(result: Array, shape: tuple[int, ...]) -> Array | None:
    """Return a result with this shape, without axes of length 1, or None if it does not fit."""
    if result.shape == shape:
        return result
    squeezed = result.reshape([n for n in result.shape if n != 1])
    return squeezed if squeezed.shape == tuple(n for n in shape if n != 1) else None


def proportional(probes: list[Probe], patterns: list[Pattern]) -> tuple[Pattern, Reduction, float] | None:
    """Return a pattern and a reduction that give every result up to one factor, and that factor."""
    for pattern in patterns:
        for probe in probes:
            elements = sum(weight * probe.features[name] for name, weight in pattern.weights.items())
            total, result = float(np.sum(elements)), probe.result
            batch, width = np.shape(elements)
            for divisor in (1, batch, batch * width, width):
                factor = float(result.sum()) / (total / divisor)
                scaled = [Probe(p.features, p.result / factor) for p in probes] if factor else []
                found = match(scaled, [pattern]) if scaled else None
                if found is not None:
                    return pattern, found[1], factor
            break
    return None


def with_mistakes(
    right: Mapping[str, Weights], edits: Sequence[Edit], most: int, style: str = ""
) -> list[tuple[float, Pattern]]:
    """Return a right formula, given by parts, and its versions with up to ``most`` mistakes, each with its cost."""
    found = []
    for chosen in (chosen for count in range(most + 1) for chosen in combinations(edits, count)):
        partial = [part for edit in chosen if len(edit.parts) < len(right) for part in edit.parts]
        if len(partial) != len(set(partial)):
            continue
        parts = dict(right)
        for edit in sorted(chosen, key=lambda edit: len(edit.parts)):  # changes of everything come last
            for name, change in edit.parts.items():
                parts[name] = change if isinstance(change, dict) else _times(parts[name], change)
        weights: Weights = {}
        for name, weight in (item for part in parts.values() for item in part.items()):
            weights[name] = weights.get(name, 0.0) + weight
        mistakes = tuple((edit.code, edit.detail) for edit in chosen)
        found.append((sum(edit.cost for edit in chosen), Pattern(weights, style, mistakes)))
    return found


def _times(weights: Weights, factor: float) -> Weights:
    return {name: factor * weight for name, weight in weights.items()}


# The divergence of N(mu, v) from N(0, 1), where the parameter s gives v in one of four ways.

KL = "0.5 * sum(mu^2 + exp(log_var) - 1 - log_var) over the dimensions"
_KL_TERMS: dict[str, tuple[Weights, Weights]] = {  # style: (weights of v, weights of log v)
    "log-variance": ({"exp(s)": 1.0}, {"s": 1.0}),
    "variance": ({"s": 1.0}, {"log s": 1.0}),
    "standard deviation": ({"s^2": 1.0}, {"log s": 2.0}),
    "log standard deviation": ({"exp(2s)": 1.0}, {"s": 2.0}),
}
_WRONG_SPREADS: list[Weights] = [{"exp(s/2)": 1.0}]


def kl_features(mu: Array, s: Array) -> dict[str, Array]:
    """Return the possible terms of a divergence from N(0, 1), for s > 0; "once" sums to 1 over the dimensions."""
    batch, width = mu.shape
    return {
        "mu^2": mu**2,
        "mu": mu,
        "1": np.ones_like(mu),
        "once": np.ones_like(mu) / width,
        "once for all": np.ones_like(mu) / (batch * width),
        "s": s,
        "s^2": s**2,
        "log s": np.log(s),
        "exp(s)": np.exp(s),
        "exp(2s)": np.exp(2 * s),
        "exp(s/2)": np.exp(s / 2),
    }


def kl_patterns(most: int = 2) -> list[Pattern]:
    """Return the right divergences from N(0, 1) and those with up to ``most`` mistakes, the right ones first."""
    found: list[tuple[float, Pattern]] = []
    for style, (spread, log_spread) in _KL_TERMS.items():
        right = {
            "mean": {"mu^2": 0.5},
            "spread": _times(spread, 0.5),
            "k": {"1": -0.5},
            "log": _times(log_spread, -0.5),
        }
        found += with_mistakes(right, list(_kl_edits(style)), most, style)
    return [pattern for _, pattern in sorted(found, key=lambda item: item[0])]


def _kl_edits(style: str) -> Iterator[Edit]:
    everything = ("mean", "spread", "k", "log")
    names = {"mean": "mu^2", "spread": "the variance", "k": "the -1", "log": "the logarithm"}
    yield Edit("sign", "of everything: the KL comes out below zero", dict.fromkeys(everything, -1.0))
    yield Edit("missing-half", "of everything", dict.fromkeys(everything, 2.0))
    yield Edit("missing-k", "it is absent", {"k": 0.0})
    yield Edit("missing-k", "it is counted once instead of once per dimension", {"k": {"once": -0.5}})
    yield Edit("missing-k", "it is counted once for the whole batch", {"k": {"once for all": -0.5}})
    for name in ("log", "mean", "spread", "k"):
        yield Edit("sign", f"of {names[name]}", {name: -1.0})
    for name in ("mean", "spread", "log"):
        yield Edit("missing-term", names[name], {name: 0.0})
    yield Edit("mean-not-squared", "mu stands for mu^2", {"mean": {"mu": 0.5}})
    spread = _KL_TERMS[style][0]
    for other in [terms[0] for terms in _KL_TERMS.values()] + _WRONG_SPREADS:
        if other != spread:
            name = next(iter(other))
            text = f"the logarithm takes s for the {style}, but {name} stands for the variance"
            yield Edit("spread-mixed-up", text, {"spread": _times(other, 0.5)})
    for count in (1, 2, 3):
        for chosen in combinations(everything, count):
            text = "of " + " and ".join(names[name] for name in chosen)
            yield Edit("missing-half", text, dict.fromkeys(chosen, 2.0), cost=1.5)


# Reconstruction losses, of predictions and data in (0, 1).

RECONSTRUCTIONS = [
    Pattern({"bce": 1.0}, "Bernoulli, from probabilities"),
    Pattern({"bce logits": 1.0}, "Bernoulli, from logits"),
    Pattern({"sq": 0.5}, "Gaussian, variance 1"),
    Pattern({"sq": 0.5, "1": 0.5 * math.log(2 * math.pi)}, "Gaussian, variance 1, with its constant"),
    Pattern({"sq": 1.0}, "Gaussian, variance 1/2"),
    Pattern({"abs": 1.0}, "Laplace, scale 1"),
    Pattern(
        {"bce twice": 1.0},
        "Bernoulli",
        (("probabilities-as-logits", "a sigmoid is applied first, and the cross-entropy applies another"),),
    ),
    Pattern(
        {"bce exchanged": 1.0}, "Bernoulli", (("arguments-exchanged", "the data stands for the prediction"),)
    ),
    Pattern(
        {"logits exchanged": 1.0}, "Bernoulli", (("arguments-exchanged", "the data stands for the logits"),)
    ),
    Pattern(
        {"ones": 1.0}, "Bernoulli", (("missing-term", "(1 - x) log(1 - p): a black pixel costs nothing"),)
    ),
    Pattern({"zeros": 1.0}, "Bernoulli", (("missing-term", "x log p: a white pixel costs nothing"),)),
]


def reconstruction_features(a: Array, x: Array) -> dict[str, Array]:
    """Return the possible terms of a reconstruction loss, for predictions a and data x in (0, 1)."""

    def with_logits(t: Array, y: Array) -> Array:
        return np.logaddexp(0, t) - t * y

    return {
        "bce": -(x * np.log(a) + (1 - x) * np.log1p(-a)),
        "bce logits": with_logits(a, x),
        "bce twice": with_logits(1 / (1 + np.exp(-a)), x),
        "bce exchanged": -(a * np.log(x) + (1 - a) * np.log1p(-x)),
        "logits exchanged": with_logits(x, a),
        "ones": -x * np.log(a),
        "zeros": -(1 - x) * np.log1p(-a),
        "sq": (a - x) ** 2,
        "abs": np.abs(a - x),
        "1": np.ones_like(a),
    }

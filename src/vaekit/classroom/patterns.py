r"""Recognise a loss by its numbers: which combination of known terms is it?

A function under check is, per element, a weighted sum of known features, such as :math:`\mu^2`, :math:`e^s`,
:math:`s`, 1. The right ones are a few weight vectors; a mistake is another weight vector: without its 1/2,
all are doubled; without its -1, one is zero. So the catalogue of mistakes is a list of weight vectors with
names, and to recognise one is to find the vector, and the reduction over batch and dimensions, that
reproduces every probe.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KL_TERMS", "REDUCTIONS", "Pattern", "Probe", "Reduction", "kl_features", "kl_patterns", "match"]

Array = NDArray[np.float64]
Weights = dict[str, float]


@dataclass(frozen=True)
class Pattern:
    """A combination of features with its name: which style it is, and which mistakes are in it."""

    weights: Weights
    style: str
    mistakes: tuple[tuple[str, str], ...] = ()  # (code, detail)


@dataclass(frozen=True)
class Reduction:
    """What becomes of the elements (batch, width): a shape and a factor."""

    name: str
    axis: int | tuple[int, ...] | None  # None: not reduced
    mean_batch: bool
    mean_width: bool


REDUCTIONS = (
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
    """One call: the features of its arguments, each (batch, width), and what the function gave."""

    features: dict[str, Array]
    result: Array


def reduce(elements: Array, reduction: Reduction) -> Array:
    """Apply a reduction to the trailing (batch, width) of ``elements``."""
    batch, width = elements.shape[-2:]
    if reduction.axis is not None:
        axes = reduction.axis if isinstance(reduction.axis, tuple) else (reduction.axis,)
        elements = elements.sum(axis=tuple(axis - 2 for axis in axes))
    return elements / ((batch if reduction.mean_batch else 1) * (width if reduction.mean_width else 1))


def match(
    probes: list[Probe], patterns: list[Pattern], *, tolerance: float = 1e-5
) -> tuple[Pattern, Reduction] | None:
    """Find the pattern and the reduction that reproduce every probe; the first of the lists wins.

    The patterns are to be given with the right ones first and the mistakes in order of simplicity.
    """
    names = list(probes[0].features)
    weights = np.array([[pattern.weights.get(name, 0.0) for name in names] for pattern in patterns])
    best: tuple[int, Pattern, Reduction] | None = None
    for order, reduction in enumerate(REDUCTIONS):
        fits = np.ones(len(patterns), dtype=bool)
        for probe in probes:
            features = np.stack([reduce(probe.features[name], reduction) for name in names])
            result = squeeze_like(probe.result, features.shape[1:])
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


def squeeze_like(result: Array, shape: tuple[int, ...]) -> Array | None:
    """Drop axes of one from a result, (batch, 1) for (batch,), if it then has the shape; None if not."""
    if result.shape == shape:
        return result
    squeezed = result.reshape([n for n in result.shape if n != 1])
    return squeezed if squeezed.shape == tuple(n for n in shape if n != 1) else None


# The divergence of N(mu, v) from N(0, 1), where a parameter s says what v is.

KL_TERMS: dict[str, tuple[Weights, Weights]] = {  # style: (weights of v, weights of log v)
    "log-variance": ({"exp(s)": 1.0}, {"s": 1.0}),
    "variance": ({"s": 1.0}, {"log s": 1.0}),
    "standard deviation": ({"s^2": 1.0}, {"log s": 2.0}),
    "log standard deviation": ({"exp(2s)": 1.0}, {"s": 2.0}),
}
_WRONG_SPREADS: list[Weights] = [{"exp(s/2)": 1.0}]


def kl_features(mu: Array, s: Array) -> dict[str, Array]:
    """Give what a divergence from N(0, 1) may be made of, for s > 0; "once" sums to 1 over the dimensions."""
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
    """List the right divergences from N(0, 1) and those with up to ``most`` mistakes, right ones first."""
    found: list[tuple[float, Pattern]] = []
    for style, (spread, log_spread) in KL_TERMS.items():
        right = _kl({"mu^2": 0.5}, _times(spread, 0.5), {"1": -0.5}, _times(log_spread, -0.5))
        edits = list(_kl_edits(style))
        for count in range(most + 1):
            for chosen in combinations(edits, count):
                partial = [part for edit in chosen if len(edit.parts) < len(right) for part in edit.parts]
                if len(partial) != len(set(partial)):
                    continue
                parts = dict(right)
                for edit in sorted(chosen, key=lambda edit: len(edit.parts)):  # of everything: last
                    parts |= {name: _kl_part(parts[name], value) for name, value in edit.parts.items()}
                mistakes = tuple((edit.code, edit.detail) for edit in chosen)
                found.append(
                    (sum(edit.cost for edit in chosen), Pattern(_sum(parts.values()), style, mistakes))
                )
    return [pattern for _, pattern in sorted(found, key=lambda item: item[0])]


@dataclass(frozen=True)
class _Edit:
    """One mistake: its code, its detail, what it does to the parts (a factor or weights), its cost."""

    code: str
    detail: str
    parts: dict[str, Any]
    cost: float = 1.0


def _kl(*parts: Weights) -> dict[str, Weights]:
    return dict(zip(("mean", "spread", "k", "log"), parts, strict=True))


def _kl_part(part: Weights, change: "float | Weights") -> Weights:
    return change if isinstance(change, dict) else _times(part, change)


def _kl_edits(style: str) -> Iterator[_Edit]:
    everything = ("mean", "spread", "k", "log")
    names = {"mean": "mu^2", "spread": "the variance", "k": "the -1", "log": "the logarithm"}
    yield _Edit("sign", "of everything: the KL comes out below zero", dict.fromkeys(everything, -1.0))
    yield _Edit("missing-half", "of everything", dict.fromkeys(everything, 2.0))
    yield _Edit("missing-k", "it is absent", {"k": 0.0})
    yield _Edit("missing-k", "it is counted once instead of once per dimension", {"k": {"once": -0.5}})
    yield _Edit("missing-k", "it is counted once for the whole batch", {"k": {"once for all": -0.5}})
    for name in ("log", "mean", "spread", "k"):
        yield _Edit("sign", f"of {names[name]}", {name: -1.0})
    for name in ("mean", "spread", "log"):
        yield _Edit("missing-term", names[name], {name: 0.0})
    yield _Edit("mean-not-squared", "mu stands for mu^2", {"mean": {"mu": 0.5}})
    spread = KL_TERMS[style][0]
    for other in [terms[0] for terms in KL_TERMS.values()] + _WRONG_SPREADS:
        if other != spread:
            name = next(iter(other))
            text = f"the logarithm takes s for the {style}, but {name} stands for the variance"
            yield _Edit("spread-mixed-up", text, {"spread": _times(other, 0.5)})
    for count in (1, 2, 3):
        for chosen in combinations(everything, count):
            text = "of " + " and ".join(names[name] for name in chosen)
            yield _Edit("missing-half", text, dict.fromkeys(chosen, 2.0), cost=1.5)


def _times(weights: Weights, factor: float) -> Weights:
    return {name: factor * weight for name, weight in weights.items()}


def _sum(parts: Iterable[Weights]) -> Weights:
    total: Weights = {}
    for part in parts:
        for name, weight in part.items():
            total[name] = total.get(name, 0.0) + weight
    return total

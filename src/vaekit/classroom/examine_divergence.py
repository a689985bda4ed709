"""Check whether ``kl_gaussians(m1, S1, m2, S2)`` is the divergence of the first Gaussian from the second.

As for the other losses, a mistake is a wrong weight on a known term and is recognised by the values. The terms are
those of the derivation and the terms they are often confused with. The determinant is also tried at k = 1000.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vaekit.classroom.calling import Callee, SignatureError, UncallableError, arrays_of
from vaekit.classroom.findings import Finding, Verdict, best_verdict
from vaekit.classroom.patterns import Edit, Pattern, with_mistakes
from vaekit.classroom.roles import declared_spread

__all__ = ["examine_divergence"]

Array = NDArray[np.float64]
Numbers = tuple[Array, Array, Array, Array]  # m1, S1, m2, S2
FORMULA = "0.5 * (tr(S2^-1 S1) + (m2 - m1)' S2^-1 (m2 - m1) - k + log|S2| - log|S1|)"

RIGHT = {
    "trace": {"tr(S2^-1 S1)": 0.5},
    "square": {"d' S2^-1 d": 0.5},
    "k": {"k": -0.5},
    "log": {"log|S2|": 0.5, "log|S1|": -0.5},
}
NAMES = {"trace": "the trace", "square": "the squared distance", "k": "the -k", "log": "the log-determinant"}

# The variances, from each kind of vector that may stand for a diagonal covariance.
SPREADS: dict[str, Callable[[Array], Array]] = {
    "variance": lambda v: v,
    "log-variance": np.exp,
    "standard deviation": np.square,
    "log standard deviation": lambda v: np.exp(2 * v),
}


@dataclass(frozen=True)
class _Form:
    """One way to pass the numbers: the order and shape of the arguments, and the kind of spread in a vector."""

    order: tuple[int, int, int, int]
    shape: str  # "vector", "column", "batch", "diagonal", "diagonal batch"
    spread: str = ""


def examine_divergence(callee: Callee) -> Verdict:
    """Examine a divergence between two Gaussians, with full or with diagonal covariances."""
    if len(callee.parameters) not in (0, *range(4, 20)) or callee.required > 4:
        raise SignatureError(f"it takes ({', '.join(callee.parameters)}), not (m1, S1, m2, S2)")
    patterns = _patterns()

    def examine(form: _Form) -> Verdict:
        try:
            return _examine(callee, form, patterns)
        except (PermissionError, MemoryError):
            raise
        except Exception as error:  # a student's function may raise anything
            raise UncallableError(f"{type(error).__name__}: {error}") from error

    return best_verdict(_forms(callee.parameters), examine)


def _forms(parameters: list[str]) -> list[_Form]:
    """Return the ways to pass the numbers, the likeliest first."""
    orders = [_named_order(parameters)] if _named_order(parameters) else [(0, 1, 2, 3), (0, 2, 1, 3)]
    matrices = [_Form(order, shape) for shape in ("vector", "column", "batch") for order in orders if order]
    spreads = {spread for name in parameters[:4] if (spread := declared_spread(name))}
    shapes = ("diagonal batch", "diagonal")
    kinds = sorted(SPREADS, key=lambda spread: spread not in spreads)
    diagonals = [_Form(o, shape, spread) for spread in kinds for shape in shapes for o in orders if o]
    return [*diagonals, *matrices] if spreads else [*matrices, *diagonals]


def _named_order(parameters: list[str]) -> tuple[int, int, int, int] | None:
    """Return which of m1, S1, m2 and S2 each argument is by names such as (mu_p, mu_q, cov_p, cov_q), or None."""
    seen: list[str] = []
    order = []
    for name in parameters[:4]:
        plain = name.replace("_", "").lower()
        found = re.fullmatch(r"(.*?)(\d|p|q|a|b|prior|post|posterior)", plain)
        if found is None:
            return None
        base, which = found.groups()
        if which not in seen:
            seen.append(which)
        if not re.match(r"mu|m|mean|loc|u$", base) and not re.match(r"s|c|v|log|k|l|ln", base):
            return None
        is_mean = re.match(r"mu|m|mean|loc$|u$", base) is not None
        order.append(2 * seen.index(which) + (not is_mean))
    if sorted(order) != [0, 1, 2, 3]:
        return None
    first, second, third, fourth = order
    return first, second, third, fourth


def _examine(callee: Callee, form: _Form, patterns: list[Pattern]) -> Verdict:
    generator = np.random.default_rng(4)
    cases, results = [], []
    for k in (1, 2, 3, 4, 5, 6, 2, 3, 4, 5):
        numbers, arguments = _draw(generator, k, form)
        result = arrays_of(callee(*arguments))
        if not result:
            return Verdict({}, [Finding("wrong-shape", "it gives no number")])
        value = result[0]
        if form.shape.startswith("diagonal") and value.size == k > 1:
            value = value.sum()
        if np.size(value) != 1:
            text = f"for k = {k} it gives an array of shape {np.shape(value)}; a divergence is one number"
            return Verdict({}, [Finding("wrong-shape", text)])
        cases.append(_features(numbers))
        results.append(float(np.reshape(value, ())))
    wanted = np.array(results)
    style = {"covariances": f"diagonal, as {form.spread}" if form.spread else "full"}
    if not np.isfinite(wanted).all():
        return Verdict(style, [Finding("wrong-value", "it gives NaN or infinity for ordinary Gaussians")])
    for pattern in patterns:
        values = np.array([_value(pattern, case) for case in cases])
        if np.abs(values - wanted).max() < 1e-5 * np.abs(wanted).max():
            break
    else:
        return Verdict(style, [_unknown(callee, form, cases, wanted)])
    seen = f" (it gave {wanted.min():.4g})" if wanted.min() < -1e-6 else ""
    right = f"the divergence is {FORMULA}"
    findings = [Finding(code, f"{detail}{seen}; {right}") for code, detail in pattern.mistakes]
    spreads = [spread for name in callee.parameters[:4] if (spread := declared_spread(name))]
    if form.spread and spreads and form.spread not in spreads:
        text = f"by its name the spread is a {spreads[0]}, but the formula uses it as a {form.spread}"
        findings.append(Finding("spread-mixed-up", text))
    findings += _large(callee, form, pattern)
    if not findings:
        findings += _near(callee, form)
    return Verdict(style, findings)


def _draw(
    generator: np.random.Generator, k: int, form: _Form, apart: float = 1.0
) -> tuple[Numbers, list[Array]]:
    def covariance() -> tuple[Array, Array]:
        if form.spread:
            v = generator.uniform(0.3, 1.7, k)
            return np.diag(SPREADS[form.spread](v)), v
        factor = generator.normal(size=(k, k + 3))
        S = factor @ factor.T / (k + 3)
        return S, S

    (S1, given1), (S2, given2) = covariance(), covariance()
    m1 = generator.normal(size=k)
    m2 = m1 + apart * generator.normal(size=k)
    return (m1, S1, m2, S2), _arguments((m1, given1, m2, given2), form)


def _arguments(numbers: Numbers, form: _Form) -> list[Array]:
    m1, S1, m2, S2 = numbers
    if form.shape == "column":
        m1, m2 = m1[:, None], m2[:, None]
    if form.shape.endswith("batch"):
        return [(m1, S1, m2, S2)[i][None] for i in form.order]
    return [(m1, S1, m2, S2)[i] for i in form.order]


def _features(numbers: Numbers) -> dict[str, float]:
    m1, S1, m2, S2 = numbers
    d = m2 - m1
    return {
        "tr(S2^-1 S1)": float(np.trace(np.linalg.solve(S2, S1))),
        "tr(S1^-1 S2)": float(np.trace(np.linalg.solve(S1, S2))),
        "tr(S2 S1)": float((S1 * S2).sum()),
        "d' S2^-1 d": float(d @ np.linalg.solve(S2, d)),
        "d' S1^-1 d": float(d @ np.linalg.solve(S1, d)),
        "d' S2 d": float(d @ S2 @ d),
        "d' S1 d": float(d @ S1 @ d),
        "k": float(len(d)),
        "1": 1.0,
        "log|S1|": float(np.linalg.slogdet(S1)[1]),
        "log|S2|": float(np.linalg.slogdet(S2)[1]),
    }


def _features_of_spectra(d: Array, v1: Array, v2: Array) -> dict[str, float]:
    """Return the same features for diagonal covariances with these variances."""
    terms = {
        "tr(S2^-1 S1)": v1 / v2,
        "tr(S1^-1 S2)": v2 / v1,
        "tr(S2 S1)": v1 * v2,
        "d' S2^-1 d": d**2 / v2,
        "d' S1^-1 d": d**2 / v1,
        "d' S2 d": d**2 * v2,
        "d' S1 d": d**2 * v1,
        "k": np.ones_like(d),
        "1": np.ones_like(d) / len(d),
        "log|S1|": np.log(v1),
        "log|S2|": np.log(v2),
    }
    return {name: float(term.sum()) for name, term in terms.items()}


def _patterns() -> list[Pattern]:
    """Return the right divergence and its versions with one or two mistakes."""
    return [pattern for _, pattern in with_mistakes(RIGHT, list(_edits()), 2)]


def _edits() -> Iterator[Edit]:
    trace, square = {"tr(S1^-1 S2)": 0.5}, {"d' S1^-1 d": 0.5}
    both = "in the trace and the squared distance"
    text = "everywhere: this is the divergence of the second from the first"
    log = {"log|S1|": 0.5, "log|S2|": -0.5}
    yield Edit("covariances-exchanged", text, {"trace": trace, "square": square, "log": log})
    yield Edit("missing-half", "of everything", dict.fromkeys(RIGHT, 2.0))
    yield Edit("missing-k", "it is absent", {"k": 0.0})
    yield Edit("missing-k", "1 is subtracted, not k", {"k": {"1": -0.5}})
    yield Edit("sign", "of the log-determinant: log|S1|/|S2| stands for log|S2|/|S1|", {"log": -1.0})
    for name in ("k", "trace", "square"):
        yield Edit("sign", f"of {NAMES[name]}", {name: -1.0})
    yield Edit("sign", "of everything: the KL comes out below zero", dict.fromkeys(RIGHT, -1.0))
    yield Edit("covariances-exchanged", "in the trace", {"trace": trace})
    yield Edit("covariances-exchanged", "in the squared distance", {"square": square})
    yield Edit("covariances-exchanged", both, {"trace": trace, "square": square})
    trace, square = {"tr(S2 S1)": 0.5}, {"d' S2 d": 0.5}
    yield Edit("covariance-not-inverted", "in the trace", {"trace": trace})
    yield Edit("covariance-not-inverted", "in the squared distance", {"square": square})
    yield Edit("covariance-not-inverted", "in the squared distance: S1 is used", {"square": {"d' S1 d": 0.5}})
    yield Edit("covariance-not-inverted", both, {"trace": trace, "square": square})
    for name in ("trace", "square", "log"):
        yield Edit("missing-term", NAMES[name], {name: 0.0})
    yield Edit("missing-term", "log|S1|", {"log": {"log|S2|": 0.5}})
    yield Edit("missing-term", "log|S2|", {"log": {"log|S1|": -0.5}})
    for count in (1, 2, 3):
        for chosen in combinations(RIGHT, count):
            names = " and ".join(NAMES[name] for name in chosen)
            yield Edit("missing-half", f"of {names}", dict.fromkeys(chosen, 2.0))


def _unknown(callee: Callee, form: _Form, cases: list[dict[str, float]], wanted: Array) -> Finding:
    generator = np.random.default_rng(6)
    for trial in range(60):
        numbers, arguments = _draw(generator, 1 + trial % 6, form, apart=float(trial % 2))
        value = float(arrays_of(callee(*arguments))[0].sum())
        if value < -1e-6:
            truth = _value(_patterns()[0], _features(numbers))
            text = f"a KL is never negative, and this gave {value:.4g} where {truth:.4g} is right"
            return Finding("kl-below-zero", f"{text}; the divergence is {FORMULA}")
    text = f"for k = {cases[3]['k']:.0f} it gave {wanted[3]:.6g} where {_value(_patterns()[0], cases[3]):.6g} is right"
    return Finding("wrong-value", f"{text}; the divergence is {FORMULA}")


def _value(pattern: Pattern, features: dict[str, float]) -> float:
    return sum(weight * features[name] for name, weight in pattern.weights.items())


def _large(callee: Callee, form: _Form, pattern: Pattern) -> list[Finding]:
    """Return a mistake if it fails for k = 1000, where determinants leave the range of double precision."""
    k = 1000
    along = np.zeros(k)
    along[0] = 1.0  # in a basis whose first vector is the means' difference, both covariances are diagonal
    for scale in (1.0, 0.01):
        if form.spread:
            v1, v2 = np.full(k, 1.5 * scale**0.5), np.full(k, 1.6 * scale**0.5)
            given = (np.zeros(k), v1, np.full(k, 0.1), v2)
            spectrum1, spectrum2 = SPREADS[form.spread](v1), SPREADS[form.spread](v2)
        else:
            eye, ones = np.eye(k), np.ones((k, k)) / k
            given = (np.zeros(k), 3 * scale * (eye + ones), np.full(k, 0.1), 4 * scale * (eye + 2 * ones))
            spectrum1, spectrum2 = 3 * scale * (1 + along), 4 * scale * (1 + 2 * along)
        features = _features_of_spectra(0.1 * k**0.5 * along, spectrum1, spectrum2)
        truth = _value(pattern, features)
        try:
            with np.errstate(all="ignore"):
                result = arrays_of(callee(*_arguments(given, form)))[0].sum()
            said = f"it gives {result:.6g} where {truth:.6g} is expected"
        except (ArithmeticError, ValueError) as error:
            result, said = np.nan, f"it raises {type(error).__name__}: {error}"
        if not np.isfinite(result) or abs(result - truth) > 1e-6 * abs(truth):
            text = (
                f"for k = {k} {said}: |S| is about 3^1000 or 0.03^1000, beyond double precision; compute log|S| by "
                "slogdet, or from the Cholesky factor: 2 * sum(log(diag(L)))"
            )
            return [Finding("determinant-overflow", text)]
    return []


def _near(callee: Callee, form: _Form) -> list[Finding]:
    """Return a note if nearly equal Gaussians give less than zero, by the rounding of the textbook formula."""
    generator = np.random.default_rng(5)
    for _ in range(20):
        numbers, _ = _draw(generator, 6, form)
        m, S = numbers[0], numbers[1] if not form.spread else generator.uniform(0.3, 1.7, 6)
        value = float(arrays_of(callee(*_arguments((m, S, m, S * (1 + 1e-9)), form)))[0].sum())
        if value < 0:
            text = (
                f"for two nearly equal Gaussians it gives {value:.3g}, by rounding: the formula subtracts k from "
                "almost k; vaekit.gaussian computes it from terms that are never negative"
            )
            return [Finding("rounding", text, severity="note")]
    return []

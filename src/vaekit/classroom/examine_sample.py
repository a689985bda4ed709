r"""Check whether ``sample_z`` gives :math:`z = \mu + \sigma \epsilon`, with fresh standard normal noise and gradients.

The check uses many draws with a constant mean m and a constant second argument s. The draws minus m are the noise
times a scale, and the scale as a function of s shows whether s is used as a variance, a log-variance and so on.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaekit.classroom.calling import Callee, Way, arrays_of, find_sizes, ways_to_call
from vaekit.classroom.findings import Finding, Verdict, best_verdict
from vaekit.classroom.roles import declared_spread

__all__ = ["examine_sample"]

Array = NDArray[np.float64]
PARTS = ("mean", "spread")
SETTINGS = ((0.5, 0.6), (-1.5, 1.7))  # (m, s)
DRAWS = 4000
SECONDS = 4.0

SCALES: dict[str, Callable[[float], float]] = {
    "log-variance": lambda s: math.exp(s / 2),
    "standard deviation": lambda s: s,
    "variance": math.sqrt,
    "log standard deviation": math.exp,
    "softplus": lambda s: math.log1p(math.exp(s)),
    "negative log-variance": lambda s: math.exp(-s / 2),
    "nothing": lambda s: 1.0,
    "square": lambda s: s * s,
}
WRITE = "write z = mu + exp(log_var / 2) * eps, with eps = torch.randn_like(mu)"


def examine_sample(callee: Callee) -> Verdict:
    """Examine a sampler of shape (batch, dimensions)."""
    return best_verdict(ways_to_call(callee, PARTS, [(16, 4), (9, 5)]), lambda way: _examine(callee, way))


def _examine(callee: Callee, way: Way) -> Verdict:
    def call(callee: Callee, batch: int, width: int, m: float = 0.5, s: float = 0.6) -> Any:
        given = {"mean": np.full((batch, width), m), "spread": np.full((batch, width), s)}
        return callee(
            *(given.get(part, {"one": 1.0, "batch": batch, "width": width}.get(part)) for part in way.order)
        )

    batch, width = find_sizes(callee, call, way.ladder)[0]
    shape = arrays_of(call(callee, batch, width))
    if not shape or shape[0].shape != (batch, width):
        seen = shape[0].shape if shape else "no array"
        text = f"for mu and log-variance of shape {(batch, width)} it gives {seen}; z has the shape of mu"
        return Verdict({}, [Finding("wrong-shape", text)])
    noises = []
    for m, s in SETTINGS:
        draws, start = [], time.monotonic()
        while (
            len(draws) < max(400, min(DRAWS, 400_000 // (batch * width)))
            and time.monotonic() - start < SECONDS
        ):
            draws.append(arrays_of(call(callee, batch, width, m, s))[0] - m)
        noises.append(np.array(draws))
    findings = list(_structure(noises[0]))
    style: dict[str, str] = {}
    if not any(finding.code in ("noise-absent", "noise-repeated") for finding in findings):
        name = callee.parameter(way, "spread")
        style, more = _scale([_distinct(noise) for noise in noises], name)
        findings += more
    if not any(finding.code in ("noise-absent", "missing-term") for finding in findings):
        findings += _gradient(callee, way.order, batch, width)
    return Verdict(style, findings)


def _structure(noise: Array) -> list[Finding]:
    """Return the mistakes in how the noise (draws, batch, width) is shared."""
    size = np.abs(noise).max()
    if size < 1e-9:
        return [Finding("noise-absent", f"z equals mu in every call; {WRITE}")]
    if np.ptp(noise, axis=0).max() < 1e-9 * size:
        text = "two calls give the same z: draw eps inside the function, and do not set a seed there"
        return [Finding("noise-repeated", text)]
    findings = []
    if noise.shape[1] > 1 and np.ptp(noise, axis=1).max() < 1e-9 * size:
        text = (
            "all examples of a batch get the same eps, so their codes move together and the gradient is far "
            f"noisier (samples from the prior still look fine, which hides it); {WRITE}"
        )
        findings.append(Finding("noise-shared-by-batch", text))
    if not findings and noise.shape[2] > 1 and np.ptp(noise, axis=2).max() < 1e-9 * size:
        text = f"q(z|x) is then a line, not a cloud; eps needs one number per example and dimension: {WRITE}"
        findings.append(Finding("noise-shared-by-dimensions", text))
    return findings


def _distinct(noise: Array) -> Array:
    """Return the noise without repeated values, so that what is left is independent."""
    size = np.abs(noise).max()
    for axis in (1, 2):
        if np.ptp(noise, axis=axis).max() < 1e-9 * size:
            noise = noise.take([0], axis=axis)
    return noise.reshape(-1)


def _scale(noises: list[Array], parameter: str) -> tuple[dict[str, str], list[Finding]]:
    """Return how the function uses s to scale the noise, and the mistakes in it."""
    count = min(len(noise) for noise in noises)
    error = 6 / math.sqrt(count)
    unit = noises[0] / noises[0].std()
    mean = [noise.mean() for noise in noises]
    spread = [noise.std() for noise in noises]
    if all(abs(average + m) < error * sd for average, sd, (m, _) in zip(mean, spread, SETTINGS, strict=True)):
        return {}, [Finding("missing-term", f"the mean mu is not added; {WRITE}")]
    kurtosis = float(((unit - unit.mean()) ** 4).mean())
    if abs(unit.mean()) > error or abs(kurtosis - 3) > 6 * math.sqrt(24 / count) + 0.05:
        uniform = kurtosis < 2 and noises[0].min() >= -1e-9
        seen = "it is uniform on [0, 1), as from torch.rand" if uniform else (
            f"its mean is {unit.mean():.2f} standard deviations and its kurtosis {kurtosis:.2f}, not 0 and 3"
        )  # fmt: skip
        return {}, [Finding("noise-not-standard-normal", f"{seen}; use torch.randn_like(mu)")]
    tolerance = error / math.sqrt(2) + 1e-3
    off = {
        name: max(abs(sd / scale(s) - 1) for sd, (_, s) in zip(spread, SETTINGS, strict=True))
        for name, scale in SCALES.items()
    }
    taken = min(off, key=off.__getitem__)
    declared = declared_spread(parameter)
    if off[taken] > tolerance:
        seen = ", ".join(f"{sd:.3g} for {s}" for sd, (_, s) in zip(spread, SETTINGS, strict=True))
        return {}, [Finding("wrong-value", f"the standard deviation of z is {seen}; {WRITE}")]
    if taken == "negative log-variance":
        return {}, [Finding("sign", f"z has standard deviation exp(-log_var / 2); {WRITE}")]
    if taken in ("nothing", "square"):
        seen = "not scaled" if taken == "nothing" else f"scaled by {parameter or 's'}^2"
        code = "spread-mixed-up" if taken == "square" else "missing-term"
        return {}, [Finding(code, f"eps is {seen}; {WRITE}")]
    if declared is not None and taken != declared:
        right = {
            "log-variance": "exp(log_var / 2)",
            "variance": "sqrt(var)",
            "standard deviation": "std",
            "log standard deviation": "exp(log_std)",
        }[declared]
        text = (
            f"by its name the argument {parameter} is a {declared}, but z uses it as a {taken}: for {SETTINGS[0][1]} "
            f"the standard deviation of z is {spread[0]:.3g}, not {SCALES[declared](SETTINGS[0][1]):.3g}; multiply "
            f"eps by {right}"
        )
        return {"spread": taken}, [Finding("spread-mixed-up", text)]
    return {"spread": taken, "parameter": parameter}, []


def _gradient(callee: Callee, order: tuple[str, ...], batch: int, width: int) -> list[Finding]:
    """Return a mistake if the mean or the spread gets no gradient; NumPy functions have none."""
    if callee.kind != "torch":
        return []
    import torch

    given: dict[str, Any] = {"mean": np.full((batch, width), 0.5), "spread": np.full((batch, width), 0.6)}
    given |= {"one": 1.0, "batch": batch, "width": width}
    try:
        result, tensors = callee.with_gradients(*(given[part] for part in order))
        inputs = [tensors[order.index(part)] for part in PARTS]
        needs = torch.is_tensor(result) and result.requires_grad
        grads = torch.autograd.grad(result.sum(), inputs, allow_unused=True) if needs else (None, None)
    except (RuntimeError, TypeError, ValueError):
        grads = (None, None)  # it does not stay in torch
    names = ("mu", "the log-variance")
    lost = [name for name, g in zip(names, grads, strict=True) if g is None or not bool((g != 0).any())]
    if not lost:
        return []
    text = (
        f"no gradient reaches {' or '.join(lost)}, so the encoder cannot learn it; do not use .detach(), .data, "
        f".item(), torch.no_grad(), torch.normal or .sample() here (.rsample() is right): {WRITE}"
    )
    return [Finding("noise-without-gradient", text)]

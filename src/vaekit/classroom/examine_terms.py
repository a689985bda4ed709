"""Check whether ``kl_loss`` and ``recon_loss`` are the two terms of the bound, and in which convention."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaekit.classroom.calling import Callee, Way, arrays_of, find_sizes, ways_to_call
from vaekit.classroom.findings import Finding, Verdict, best_verdict
from vaekit.classroom.patterns import (
    KL,
    RECONSTRUCTIONS,
    Pattern,
    Probe,
    Reduction,
    kl_features,
    kl_patterns,
    match,
    proportional,
    reconstruction_features,
)
from vaekit.classroom.roles import declared_input, declared_spread

__all__ = ["check_input", "examine_kl", "examine_reconstruction", "mean_over_pixels"]

Array = NDArray[np.float64]
SIZES = [(5, 3), (4, 7), (9, 2)]
WIDE = [(5, 7), (4, 3), (6, 11)]


def examine_kl(callee: Callee) -> Verdict:
    """Examine the divergence of N(mu, sigma^2) from N(0, 1)."""
    generator = np.random.default_rng(1)

    def draw(batch: int, width: int) -> dict[str, Array]:
        return {
            "mean": generator.normal(size=(batch, width)),
            "spread": generator.uniform(0.3, 1.7, (batch, width)),
        }

    def features(given: dict[str, Array]) -> dict[str, Array]:
        return kl_features(given["mean"], given["spread"])

    def examine(way: Way) -> Verdict:
        probes = _probe(callee, way, draw, features)
        if isinstance(probes, Verdict):
            return probes
        name = callee.parameter(way, "spread")
        declared = declared_spread(name)
        patterns = sorted(kl_patterns(), key=lambda p: (len(p.mistakes), p.style != declared))
        verdict = _name_kl(probes, match(probes, patterns), name)
        if not verdict.findings:
            given = draw(*probes[0].features["mu"].shape)
            verdict.findings += _gradient(callee, way, given, ("mean", "spread"))
        return verdict

    return best_verdict(ways_to_call(callee, ("mean", "spread"), SIZES), examine)


def _name_kl(probes: list[Probe], found: tuple[Pattern, Reduction] | None, parameter: str) -> Verdict:
    if found is None:
        return _unknown_kl(probes)
    pattern, reduction = found
    style: dict[str, Any] = {"spread": pattern.style, "reduction": reduction.name, "parameter": parameter}
    findings = [Finding(code, f"{detail}; the divergence is {KL}") for code, detail in pattern.mistakes]
    declared = declared_spread(parameter)
    known = any(finding.code == "spread-mixed-up" for finding in findings)
    if declared is not None and declared != pattern.style and not known:
        text = (
            f"by its name the argument {parameter} is a {declared}, but the formula uses it as a {pattern.style}; "
            f"with the log-variance, the divergence is {KL}"
        )
        findings.append(Finding("spread-mixed-up", text))
    if reduction.mean_width:
        text = (
            "the KL is averaged over the k latent dimensions, so it is k times too small: with a reconstruction term "
            "in nats this is a beta-VAE with beta = 1/k; sum over the dimensions, and average over the batch only"
        )
        findings.append(Finding("mean-for-sum", text))
    if reduction.axis == 0:
        text = f"the result has one number per dimension, {reduction.name}: sum over the last axis, not the first"
        findings.append(Finding("wrong-shape", text))
    return Verdict(style, findings)


def _unknown_kl(probes: list[Probe]) -> Verdict:
    right = kl_patterns(0)
    factor = proportional(probes, right)
    if factor is not None:
        pattern, reduction, weight = factor
        style = {"spread": pattern.style, "reduction": reduction.name, "weight": weight}
        text = f"it is {weight:.4g} times the divergence"
        if weight < 0:
            return Verdict(style, [Finding("sign", f"{text}, which is {KL}")])
        text += f": with a reconstruction term in nats, beta = {weight:.4g}"
        return Verdict(style, [Finding("weighted", text, severity="note")])
    values = np.concatenate([probe.result.reshape(-1) for probe in probes])
    if (values < -1e-6).any():
        text = f"a KL is never negative, and this gave {values.min():.4g}; the divergence is {KL}"
        return Verdict({}, [Finding("kl-below-zero", text)])
    f, first = probes[0].features, probes[0].result
    truth = 0.5 * (f["mu^2"] + f["exp(s)"] - 1 - f["s"]).sum()
    text = (
        f"for a batch of shape {f['mu'].shape} it gave {np.array2string(first, precision=4, threshold=5)}; the sum "
        f"over batch and dimensions is {truth:.4f} if its second argument is the log-variance; the divergence is {KL}"
    )
    return Verdict({}, [Finding("wrong-value", text)])


def examine_reconstruction(callee: Callee, decoder: str | None = None) -> Verdict:
    """Examine a reconstruction loss; ``decoder`` is the output of the file's decoder, if that is known."""
    generator = np.random.default_rng(2)

    def draw(batch: int, width: int) -> dict[str, Array]:
        return {part: generator.uniform(0.1, 0.9, (batch, width)) for part in ("reconstruction", "data")}

    def features(given: dict[str, Array]) -> dict[str, Array]:
        return reconstruction_features(given["reconstruction"], given["data"])

    signed = [Pattern({n: -w for n, w in p.weights.items()}, p.style, p.mistakes) for p in RECONSTRUCTIONS]

    def examine(way: Way) -> Verdict:
        probes = _probe(callee, way, draw, features)
        if isinstance(probes, Verdict):
            return probes
        found = match(probes, [*RECONSTRUCTIONS, *signed])
        name = callee.parameter(way, "reconstruction")
        negative = found is not None and found[0] in signed
        verdict = _name_reconstruction(probes, found, negative, callee, name, decoder)
        if not verdict.findings:
            given = draw(*probes[0].features["sq"].shape)
            verdict.findings += _gradient(callee, way, given, ("reconstruction",))
        return verdict

    return best_verdict(ways_to_call(callee, ("reconstruction", "data"), WIDE), examine)


def _name_reconstruction(
    probes: list[Probe],
    found: tuple[Pattern, Reduction] | None,
    negative: bool,
    callee: Callee,
    parameter: str,
    decoder: str | None,
) -> Verdict:
    if found is None:
        return _unknown_reconstruction(probes)
    pattern, reduction = found
    style: dict[str, Any] = {"likelihood": pattern.style, "reduction": reduction.name}
    findings = [Finding(code, f"{detail}.") for code, detail in pattern.mistakes]
    if negative:
        style["sign"] = "log-likelihood"
        if not any(word in callee.name.lower().replace("_", "") for word in ("logp", "loglik", "likelihood")):
            text = "it is the log-likelihood; a loss to be minimised is its negative"
            findings.append(Finding("sign", text))
    findings += check_input(pattern, declared_input(parameter), parameter, decoder)
    if reduction.mean_width:
        findings.append(mean_over_pixels(pattern))
    elif pattern.style == "Gaussian, variance 1/2":
        text = "without 1/2, a sum of squared errors is a Gaussian decoder of variance 1/2; with 1/2, of variance 1"
        findings.append(Finding("decoder-variance", text, severity="note"))
    if reduction.axis == 0:
        text = f"the result has one number per pixel, {reduction.name}: sum over the last axis, not the first"
        findings.append(Finding("wrong-shape", text))
    return Verdict(style, findings)


def check_input(pattern: Pattern, declared: str | None, parameter: str, decoder: str | None) -> list[Finding]:
    """Return a mistake if the cross-entropy takes logits and its input holds probabilities, or the reverse."""
    says = f"by its name {parameter} holds {declared}" if declared else f"the decoder gives {decoder}"
    given = declared or decoder
    if pattern.mistakes or given is None:
        return []
    if given == "logits" and pattern.style == "Bernoulli, from probabilities":
        text = f"{says}, but the formula takes its logarithm; use binary_cross_entropy_with_logits"
        return [Finding("logits-as-probabilities", text)]
    if given == "probabilities" and pattern.style == "Bernoulli, from logits":
        text = f"{says}, but the formula applies a sigmoid; use binary_cross_entropy, or give it the logits"
        return [Finding("probabilities-as-logits", text)]
    return []


def mean_over_pixels(pattern: Pattern, weight: float = 1.0, width: int | None = None) -> Finding:
    """Return the mistake of a mean over D pixels: the decoder variance or the beta that it stands for."""
    known = f" (here D = {width})" if width else ""
    if pattern.style.startswith("Gaussian"):
        share = weight * (1.0 if pattern.weights["sq"] == 0.5 else 0.5)
        name = {1.0: "D", 0.5: "D/2"}.get(round(share, 9), f"{share:.4g} * D")
        variance = 784 * share
        text = (
            f"the squared error is averaged over the D pixels{known}: with the KL in nats this is a Gaussian "
            f"VAE with decoder variance {name}, {variance:.4g} for MNIST's 784 pixels"
        )
        if variance > 0.25:
            text += ", where a pixel in [0, 1] has a variance of at most 1/4"
        if variance >= 784 / 4:
            text += ": the best it can do is to ignore z"
    else:
        scaled = "" if abs(weight - 1) < 1e-9 else f"{weight:.4g} * "
        text = (
            f"the reconstruction term is averaged over the D pixels{known}, so it is D times too small: "
            f"with the KL in nats this is a beta-VAE with beta = {scaled}D, {784 * weight:.4g} for MNIST's 784 pixels"
        )
    return Finding("mean-for-sum", f"{text}; sum over the pixels, and average over the batch only")


def _unknown_reconstruction(probes: list[Probe]) -> Verdict:
    factor = proportional(probes, RECONSTRUCTIONS[:6])
    if factor is not None and factor[2] > 0:
        pattern, reduction, weight = factor
        style = {"likelihood": pattern.style.split(",")[0], "reduction": reduction.name, "weight": weight}
        if "sq" in pattern.weights:
            variance = 1 / (2 * weight * pattern.weights["sq"])
            text = f"with the KL in nats this is a Gaussian decoder of variance {variance:.4g}"
            return Verdict(style, [Finding("decoder-variance", text, severity="note")])
        loss = f"{weight:.4g} times the {pattern.style} loss"
        text = f"it is {loss}: with the KL in nats, beta = {1 / weight:.4g}"
        return Verdict(style, [Finding("weighted", text, severity="note")])
    first = probes[0]
    seen = np.array2string(first.result, precision=4, threshold=5)
    text = (
        f"for a batch of shape {first.features['sq'].shape} it gave {seen}; summed over everything, the cross-entropy "
        f"is {first.features['bce'].sum():.4f} from probabilities and {first.features['bce logits'].sum():.4f} from "
        f"logits, and half the squared error is {0.5 * first.features['sq'].sum():.4f}"
    )
    return Verdict({}, [Finding("wrong-value", text)])


# Shared by both terms.


def _probe(callee: Callee, way: Way, draw: Any, features: Any) -> list[Probe] | Verdict:
    """Call the function with several sizes; return a verdict instead if its results cannot be used."""

    def call(callee: Callee, batch: int, width: int) -> tuple[dict[str, Array], list[Array]]:
        given = draw(batch, width)
        results = arrays_of(callee(*way.arguments(given, batch, width)))
        if way.images:  # one value per pixel is returned as an image
            results = [r.reshape(batch, -1) if r.size == batch * width else r for r in results]
        return given, results

    sizes = find_sizes(callee, call, way.ladder)
    probes = []
    for batch, width in (sizes * 6)[:6]:
        given, results = call(callee, batch, width)
        if not results:
            return Verdict({}, [Finding("wrong-shape", "it gives no number and no array")])
        again = arrays_of(callee(*way.arguments(given, batch, width)))
        if not np.array_equal(results[0].ravel(), again[0].ravel(), equal_nan=True):
            drawn = [call(callee, batch, width)[1][0].min() for _ in range(200)]
            return Verdict({}, [_random(float(np.min(drawn)))])
        probes.append(Probe(features(given), results[0]))
    shapes = {(b, w): {(), (1,), (b,), (b, 1), (b, w), (w,), (1, w), (1, b)} for b, w in sizes}
    for (batch, width), probe in zip((sizes * 6)[:6], probes, strict=True):
        if probe.result.shape not in shapes[batch, width]:
            text = f"arguments of shape {(batch, width)} give {probe.result.shape}"
            return Verdict({}, [Finding("wrong-shape", f"{text}; one number per example is expected")])
        if not np.isfinite(probe.result).all():
            return Verdict({}, [Finding("wrong-value", "it gives NaN or infinity for ordinary arguments")])
    return probes


def _random(smallest: float) -> Finding:
    if smallest < 0:
        text = f"it is a random estimate, log q(z) - log p(z) at a sample, and can be negative (here {smallest:.4g})"
        return Finding("kl-below-zero", f"{text}; use the closed form: {KL}")
    text = (
        "two calls with the same arguments differ, so it is a random estimate, which is not checked further"
    )
    return Finding("not-checked", text, severity="note")


def _gradient(callee: Callee, way: Way, given: dict[str, Array], parts: tuple[str, ...]) -> list[Finding]:
    if callee.kind != "torch":
        return []
    import torch

    batch, width = next(iter(given.values())).shape
    try:
        result, tensors = callee.with_gradients(*way.arguments(given, batch, width))
        total = result if torch.is_tensor(result) else next(t for t in result if torch.is_tensor(t))
        inputs = [tensors[way.order.index(part)] for part in parts]
        grads = torch.autograd.grad(total.sum(), inputs, allow_unused=True) if total.requires_grad else [None]
    except (RuntimeError, TypeError, ValueError, StopIteration):
        grads = [None]
    if all(g is not None for g in grads):
        return []
    text = "nothing can be learned from it: do not use .item(), .detach(), .numpy() or torch.no_grad() here"
    return [Finding("no-gradient", text)]

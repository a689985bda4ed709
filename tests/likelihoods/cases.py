"""Every likelihood of the registry, so that a new one is under the laws from its first day."""

import numpy as np
import torch

from vaekit.sentence import PARTS, parse

VARIANTS = [
    "gaussian:scale=per-dimension",
    "gaussian:scale=per-example,value=0.3",
    "gaussian:scale=fixed,value=0.5",
    "laplace:scale=per-dimension,value=2",
    "laplace:scale=per-example",
    "student-t:scale=per-dimension,degrees=8",
    "student-t:scale=per-example",
    "categorical:levels=4",
    "discretized-logistic:mixture=1",
    "discretized-logistic:mixture=3,levels=2",
    "discretized-logistic:mixture=2,levels=17",
    "negative-binomial:dispersion=learned",
    "negative-binomial:dispersion=per-example",
    "zero-inflated-negative-binomial:dispersion=per-example",
]
# Those for training alone are under the laws that need no density here, and under their own in test_ms_ssim.py.
PSEUDO = [kind for kind, part in PARTS["likelihood"].items() if part.traits.measure == "none"]
SPECS = [*(kind for kind in PARTS["likelihood"] if kind not in PSEUDO), *VARIANTS]
DENSITIES = [spec for spec in SPECS if parse("likelihood", spec).part.traits.measure in ("density", "mixed")]
PROBABILITIES = [spec for spec in SPECS if spec not in DENSITIES]


def shape(spec, numbers=1):
    """The shape of an example: of so many numbers, or of images of so many channels where only images will do."""
    return (numbers, 4, 5) if spec in PSEUDO else (numbers,)


def build(spec, event_shape=None, dtype=torch.float64):
    event_shape = shape(spec) if event_shape is None else event_shape
    return parse("likelihood", spec).build(event_shape=event_shape).to(dtype)


def random_features(likelihood, *batch, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, *likelihood.feature_shape, generator=generator, dtype=dtype) * 1.2


def outcomes(likelihood):
    """All outcomes of one dimension; of counts, as many as matter."""
    size = {"unit": 2, "counts": 40_000, "levels": likelihood.levels or 0}[likelihood.traits.measure]
    return torch.arange(size, dtype=torch.float64)


def suitable_data(spec, rows=60):
    """A small data set that the likelihood accepts."""
    likelihood = parse("likelihood", spec).build(event_shape=shape(spec, 4))
    rng = np.random.default_rng(0)
    z = rng.normal(size=(rows, 2)) @ rng.normal(size=(2, 4))
    if likelihood.traits.measure == "none":
        return rng.random((rows, *likelihood.event_shape))
    if likelihood.traits.measure == "unit":
        return (z > 0).astype(float)
    if likelihood.traits.measure == "counts":
        return rng.poisson(np.exp(z + 1)).astype(float)
    if likelihood.traits.measure == "levels":
        return np.clip(np.round((z + 3) / 6 * likelihood.levels), 0, likelihood.levels - 1)
    if likelihood.traits.scaling == "unit":
        return 1 / (1 + np.exp(-z))
    return z + rng.normal(size=z.shape)

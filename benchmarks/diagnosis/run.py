"""False alarms of the doctor over healthy fits, and how often it names an illness that was made on purpose.

    python benchmarks/diagnosis/run.py [--fits 20] [--each 3] [--output benchmarks/diagnosis/results.json]

Healthy: rows of a few Gaussian factors, seen as real numbers, as zeros and ones, as counts, or as a mix of these, with
new factors and another seed in every fit, and a model whose parts fit them. Ill: the same with one thing wrong with the
rows or with the model. 1,500 rows train, and 600 are held out. One thread.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vaekit import VariationalAutoencoder, diagnose
from vaekit.reproductions import describe

TRAIN, HELD_OUT = 1500, 600
Array = np.ndarray


def rows(kind: str, rng: np.random.Generator) -> Array:
    """Rows of two factors."""
    n, d = TRAIN + HELD_OUT, 6
    signal = rng.normal(size=(n, 2)) @ rng.normal(size=(2, d))
    real = signal + 0.6 * rng.normal(size=(n, d))
    binary = (rng.random((n, d)) < 1 / (1 + np.exp(-1.5 * signal))).astype(float)
    counts = rng.poisson(np.exp(0.4 * signal + 1)).astype(float)
    return {
        "real": real,
        "binary": binary,
        "counts": counts,
        "mixed": np.concatenate([real[:, :3], binary[:, :2], counts[:, :2]], 1),
    }[kind]


PARTS: dict[str, dict[str, Any]] = {
    "real": {"likelihood": "gaussian:scale=per-dimension"},
    "binary": {"likelihood": "bernoulli"},
    "counts": {"likelihood": "poisson"},
    "mixed": {"likelihood": "mixed:columns=gaussianxgaussianxgaussianxbernoullixbernoullixpoissonxpoisson"},
}


def fit(x: Array, seed: int, **parts: Any) -> VariationalAutoencoder:
    options: dict[str, Any] = {
        "network": "mlp:hidden=32",
        "epochs": 60,
        "patience": None,
        "random_state": seed,
        **parts,
    }
    return VariationalAutoencoder(2, **options).fit(x)


def healthy(seed: int) -> tuple[str, VariationalAutoencoder, Array, Array]:
    kind = list(PARTS)[seed % len(PARTS)]
    x = rows(kind, np.random.default_rng(100 + seed))
    return kind, fit(x[:TRAIN], seed, **PARTS[kind]), x[TRAIN:], x[:TRAIN]


def real(rng: np.random.Generator) -> Array:
    return rows("real", rng)


def clusters(rng: np.random.Generator) -> Array:
    x = real(rng)
    return x + 6 * np.sign(rng.normal(size=(len(x), 1))) * rng.normal(size=(1, x.shape[1]))


def skewed(rng: np.random.Generator) -> Array:
    x = real(rng)
    x[:, 2] = rng.exponential(size=len(x))
    return x


def outliers(rng: np.random.Generator) -> Array:
    x = real(rng)
    x[:, 1] += rng.standard_t(1.8, size=len(x))
    return x


def zeros(rng: np.random.Generator) -> Array:
    x = real(rng)
    x[rng.random(len(x)) < 0.3, 3] = 0.0
    return x


def over_dispersed(rng: np.random.Generator) -> Array:
    return rng.negative_binomial(0.7, 0.05, size=(TRAIN + HELD_OUT, 4)).astype(float)


def copies(rng: np.random.Generator) -> Array:
    x = real(rng)
    x[TRAIN : TRAIN + 60] = x[:60]
    return x


def worse_encoder(vae: VariationalAutoencoder) -> None:
    last = [module for module in vae.model_.encoder.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.bias[:2] += 0.5


def narrow(vae: VariationalAutoencoder) -> None:
    last = [module for module in vae.model_.encoder.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.bias[2:] -= 4.0  # of the log-variances


Ill = tuple[
    Callable[[np.random.Generator], Array], dict[str, Any], Callable[[VariationalAutoencoder], None] | None
]
GAUSSIAN = PARTS["real"]
ILLNESSES: dict[str, Ill] = {
    "collapse": (real, {"likelihood": "gaussian:scale=fixed,value=8"}, None),
    "prior-hole": (clusters, GAUSSIAN, None),
    "amortisation-gap": (real, GAUSSIAN, worse_encoder),
    "importance-sampling": (real, GAUSSIAN, narrow),
    "over-fitting": (
        lambda rng: rng.normal(size=(TRAIN + HELD_OUT, 12)),
        {"likelihood": "gaussian", "network": "mlp:hidden=256", "epochs": 200, "few": 70},
        None,
    ),
    "calibration": (skewed, GAUSSIAN, None),
    "worse-than-marginal": (skewed, GAUSSIAN, None),
    "noise": (real, {"likelihood": "gaussian:scale=fixed,value=2"}, None),
    "heavy-tails": (outliers, GAUSSIAN, None),
    "heavy-tails (counts)": (over_dispersed, {"likelihood": "poisson"}, None),
    "mass-at-a-value": (zeros, GAUSSIAN, None),
    "repeated-rows": (copies, GAUSSIAN, None),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fits", type=int, default=20)
    parser.add_argument("--each", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, alarms, fits = time.process_time(), [], []
    for seed in range(options.fits):
        kind, vae, held_out, train = healthy(seed)
        begun = time.perf_counter()
        found = diagnose(vae, held_out, train=train)
        fits.append({"rows": kind, "findings": [f.title for f in found.findings]})
        alarms += found.names
        print(
            f"healthy {seed} {kind}: {found.names or 'nothing'} {time.perf_counter() - begun:.1f} s",
            flush=True,
        )
        for finding in found.findings:
            print("   ", finding.title, flush=True)
    named: dict[str, dict[str, object]] = {}
    for illness, (make, parts, harm) in ILLNESSES.items():
        known = dict(parts)
        few = int(str(known.pop("few", TRAIN)))
        seen = []
        for seed in range(options.each):
            x = make(np.random.default_rng(200 + seed))
            vae = fit(x[:few], seed, **known)
            if harm is not None:
                harm(vae)
            seen.append(diagnose(vae, x[TRAIN:], train=x[:few]).names)
        count = sum(illness.split(" ")[0] in names for names in seen)
        named[illness] = {"named": count, "of": options.each, "findings": seen}
        print(f"{illness}: named {count} of {options.each}: {seen}", flush=True)
    document = {
        "healthy_fits": len(fits),
        "false_alarms": len(alarms),
        "healthy": fits,
        "illnesses": named,
        "processor_seconds": time.process_time() - started,
        "load_of_the_machine": os.getloadavg(),
        "machine": describe("torch", "numpy", "scikit-learn"),
    }
    print(f"{len(alarms)} false alarms in {len(fits)} healthy fits")
    if options.output:
        options.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

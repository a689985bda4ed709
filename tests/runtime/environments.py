"""The same small jobs in every environment that a caller may have made; run in a process of its own, prints JSON.

``python environments.py [CASE ...]``. The document has for every case the digest of each job's bytes, and of each
setting of the process that a job changed what it was and what it is.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

import vaekit
from vaekit import VariationalAutoencoder, fit_and_prove
from vaekit.application import evaluate_artifact
from vaekit.gaussian import (
    Gaussian,
    bhattacharyya,
    entropy,
    fisher_rao_bounds,
    jeffreys,
    kl_divergence,
    pairwise,
    renyi,
    wasserstein,
)

rng = np.random.default_rng(0)
ROWS = rng.normal(size=(48, 4)) @ rng.normal(size=(4, 4)) + 3
ROWS[0] = 40.0  # an outlier, whose estimate needs gradients
COVARIANCE = np.cov(ROWS[1:].T)


DIVERGENCES: list[Any] = [kl_divergence, jeffreys, bhattacharyya, wasserstein, lambda p, q: renyi(p, q, 0.5)]


def digest(*values: Any) -> str:
    seen = hashlib.sha256()
    for value in values:
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        seen.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return seen.hexdigest()[:12]


def fit() -> VariationalAutoencoder:
    return VariationalAutoencoder(2, network="mlp:hidden=8", epochs=2, random_state=0).fit(ROWS)


def scores() -> dict[str, str]:
    """Fit, and look at the fitted model."""
    vae = fit()
    return {
        "weights": digest(*vae.model_.state_dict().values()),
        "transform": digest(vae.transform(ROWS)),
        "reconstruct": digest(vae.reconstruct(ROWS)),
        "score": digest(vae.score_samples(ROWS, samples=30)),
        "sample": digest(vae.sample(5, random_state=0), vae.sample(5, random_state=0, noise=True)),
        "latents": digest(vae.sample_latents(5, random_state=0)),
        "evaluate": repr(vae.evaluate(ROWS, samples=30).to_json()),
    }


def files() -> dict[str, str]:
    """Save, load, and go on training."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.vae"
        fit().save(path)
        loaded = vaekit.load(path)
        return {
            "loaded": digest(*loaded.model_.state_dict().values(), loaded.transform(ROWS)),
            "prior": digest(
                loaded.fit_prior("gmm:components=2", ROWS[1:]).score_samples(ROWS[1:], samples=30)
            ),
            "partial": digest(*loaded.partial_fit(ROWS).model_.state_dict().values()),
        }


def proof() -> dict[str, str]:
    """The whole way, with baselines and report."""
    estimator = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=2, random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.vae"
        proven = fit_and_prove(ROWS, path, estimator=estimator, samples=30)
        page = proven.report.read_text()
        evaluation = evaluate_artifact(path, ROWS, samples=30).evaluation
    return {"page": str("</html>" in page), "proven": repr(evaluation.to_json())}


def divergences() -> dict[str, str]:
    """Gaussians from NumPy, lists and tensors, single and many, in both types, with gradients."""
    found = {}
    wide = np.random.default_rng(0).normal(size=(3, 12, 14))
    for dtype in (np.float32, np.float64):
        p = Gaussian(np.zeros(4, dtype), covariance=COVARIANCE.astype(dtype))
        q = Gaussian(np.ones(4, dtype), precision=np.diag(np.arange(1, 5)).astype(dtype))
        many = Gaussian(np.zeros((3, 12), dtype), covariance=(wide @ wide.swapaxes(1, 2)).astype(dtype))
        low = Gaussian(np.ones(12, dtype), factor=wide[0].astype(dtype), diagonal=np.ones(12, dtype))
        found[f"of {np.dtype(dtype)}"] = digest(
            *(f(*pair) for f in DIVERGENCES for pair in ((p, q), (many, low))),
            *(entropy(one) for one in (p, many, low)),
            *fisher_rao_bounds(p, q),
            pairwise(many, many),
        )
    found["of lists"] = digest(kl_divergence(Gaussian([0.0], scale=1.0), Gaussian([1.0], scale=2.0)))
    with torch.inference_mode(False), torch.enable_grad():
        mean = torch.from_numpy(np.ones(4)).requires_grad_()
        p = Gaussian(mean, covariance=torch.from_numpy(COVARIANCE))
        value = kl_divergence(p, Gaussian(mean * 0, scale=mean[0]))
        value.backward()
    found["of tensors"] = digest(value, mean.grad)
    return found


def jobs() -> dict[str, str]:
    return {**scores(), **files(), **divergences()}


def everything() -> dict[str, str]:
    return {**jobs(), **proof()}


def in_thread(job: Callable[[], dict[str, str]]) -> Callable[[], dict[str, str]]:
    def run() -> dict[str, str]:
        found: list[dict[str, str]] = []
        thread = threading.Thread(target=lambda: found.append(job()))
        thread.start()
        thread.join()
        return found[0]

    return run


def in_two_threads_at_once() -> dict[str, str]:
    found: list[dict[str, str]] = []
    threads = [threading.Thread(target=lambda: found.append(scores())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {f"{name}, both": value for name, value in found[0].items()} if found[0] == found[1] else {}


def send(pipe: Any) -> None:
    pipe.send(scores())


def in_child(method: str) -> Callable[[], dict[str, str]]:
    def run() -> dict[str, str]:
        context: Any = multiprocessing.get_context(method)
        here, there = context.Pipe()
        child = context.Process(target=send, args=(there,))
        child.start()
        if not here.poll(60):
            child.kill()
            return {"the child": "does not answer"}
        found = here.recv()
        child.join()
        return found

    return run


def setting(
    change: Callable[[Any], Any], value: Any, usual: Any
) -> Callable[[], AbstractContextManager[Any]]:
    def enter() -> AbstractContextManager[Any]:
        stack = ExitStack()
        change(value)
        stack.callback(change, usual)
        return stack

    return enter


def snapshot() -> dict[str, Any]:
    """All that a job may not change."""
    return {
        "default type": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "a new thread's threads": in_thread(lambda: {"n": str(torch.get_num_threads())})(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": [torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")],
        "precision of products": torch.get_float32_matmul_precision(),
        "denormals": float(torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 1),
        "anomalies": torch.is_anomaly_enabled(),
        "validation": torch.distributions.Distribution._validate_args,
        "torch's generator": torch.get_rng_state().tolist(),
        "NumPy's generator": repr(np.random.get_state()),  # noqa: NPY002
        "Python's generator": random.getstate(),
        "NumPy's errors": np.geterr(),
        "NumPy's printing": np.get_printoptions(),
        "warnings": [repr(entry) for entry in warnings.filters],
        "warnings shown by": warnings.showwarning,
        "matplotlib": repr(dict(matplotlib.rcParams)),
        "logging": [logging.root.level, list(logging.root.handlers), logging.root.manager.disable],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }


CASES: dict[str, tuple[Callable[[], AbstractContextManager[Any]], Callable[[], dict[str, str]]]] = {
    "as it is": (nullcontext, everything),
    "float64": (setting(torch.set_default_dtype, torch.float64, torch.float32), everything),
    "float16": (setting(torch.set_default_dtype, torch.float16, torch.float32), jobs),
    "bfloat16": (setting(torch.set_default_dtype, torch.bfloat16, torch.float32), jobs),
    "on the CPU": (setting(torch.set_default_device, "cpu", None), jobs),
    "on meta": (setting(torch.set_default_device, "meta", None), jobs),
    "in a block on meta": (lambda: torch.device("meta"), jobs),
    "inference_mode": (torch.inference_mode, jobs),
    "no_grad": (torch.no_grad, jobs),
    "autocast": (lambda: torch.autocast("cpu", dtype=torch.bfloat16), jobs),
    "deterministic": (setting(torch.use_deterministic_algorithms, True, False), jobs),
    "one thread": (setting(torch.set_num_threads, 1, 2), everything),
    "in a thread": (nullcontext, in_thread(jobs)),
    "in a thread, float64": (
        setting(torch.set_default_dtype, torch.float64, torch.float32),
        in_thread(scores),
    ),
    "two threads at once": (nullcontext, in_two_threads_at_once),
    "two threads at once, float64": (
        setting(torch.set_default_dtype, torch.float64, torch.float32),
        in_two_threads_at_once,
    ),
    "forked": (nullcontext, in_child("fork")),
    "spawned": (nullcontext, in_child("spawn")),
}


def main(chosen: list[str]) -> None:
    torch.set_num_threads(2)
    _ = torch.randn(600, 600) @ torch.randn(600, 600)  # torch's threads are there, and lost in a fork
    found = {}
    for case in chosen or CASES:
        enter, job = CASES[case]
        with enter():
            before = snapshot()
            try:
                results = job()
            except Exception as error:
                results = {"error": repr(error)}
            after = snapshot()
        changed = {name: f"{before[name]} -> {after[name]}" for name in before if before[name] != after[name]}
        found[case] = {"results": results, "changed": changed}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])

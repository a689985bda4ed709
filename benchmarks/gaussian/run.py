"""Accuracy and speed of the divergence between Gaussians, beside `torch.distributions` in the same run.

    python benchmarks/gaussian/run.py --output benchmarks/gaussian/results.json

writes the results and, beside them, a README.md whose tables are made from them. Takes a few minutes on a
quiet machine.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import mpmath
import numpy as np
import torch
from hard_pairs import Pair, hard_pairs, relative_error, true_gradients, true_kl
from torch.distributions import Independent, MultivariateNormal, Normal
from torch.distributions import kl_divergence as torch_kl

from report import write_readme
from vaekit.gaussian import Gaussian, kl_divergence, use_lanes, wasserstein
from vaekit.gaussian.many import numba_is_installed

SEEDS = (101, 102, 103, 104)
SHAPES = [
    (2, 1000),
    (4, 1000),
    (4, 100_000),
    (8, 1000),
    (8, 20_000),
    (16, 1000),
    (32, 1000),
    (64, 200),
    (512, 1),
]
TORCH, FAST, ARRAYS = "vaekit", "vaekit[fast]", "vaekit[fast], with its check"


def targets(k: int, batch: int, library: str) -> float | None:
    """The ratio to torch.distributions that the forward pass of a row aims at, if any."""
    if library == FAST and k <= 16:
        return 5.0
    if library == ARRAYS and batch <= 1000 and k <= 16:
        return 1.0 if batch == 1 else (3.0 if k <= 4 else 2.0)
    return None


def textbook(mean_p: Any, S_p: Any, mean_q: Any, S_q: Any) -> float:
    """The formula as it stands in the books, in the dtype of the arrays."""
    solved = np.linalg.inv(S_q)
    d = mean_p - mean_q
    logarithm = np.linalg.slogdet(S_q)[1] - np.linalg.slogdet(S_p)[1]
    return float((np.trace(solved @ S_p) + d @ solved @ d + logarithm - len(d)) / 2)


def with_torch(mean_p: Any, S_p: Any, mean_q: Any, S_q: Any) -> float:
    """`torch.distributions`."""
    m_p, P, m_q, Q = (torch.as_tensor(a) for a in (mean_p, S_p, mean_q, S_q))
    return float(torch_kl(MultivariateNormal(m_p, P), MultivariateNormal(m_q, Q)))


def with_us(precision: str) -> Callable[..., float]:
    """This library."""

    def divergence(mean_p: Any, S_p: Any, mean_q: Any, S_q: Any) -> float:
        return float(kl_divergence((mean_p, S_p), (mean_q, S_q), precision=precision))

    return divergence


LIBRARIES: dict[str, Callable[..., float]] = {
    "vaekit": with_us("auto"),
    "vaekit, exact": with_us("exact"),
    "torch.distributions": with_torch,
    "textbook formula (NumPy)": textbook,
}


def stored_pairs(folder: Path | None) -> list[tuple[str, Pair, mpmath.mpf]]:
    """Hard cases with their truth from a folder, if one was given."""
    found = []
    for dtype in ("float64", "float32") if folder else ():
        document = json.loads((folder / f"cases_{dtype}.json").read_text())  # type: ignore[operator]
        for case in document["cases"]:
            arrays = [np.array(case[n], dtype) for n in ("mean_p", "covariance_p", "mean_q", "covariance_q")]
            with mpmath.workdps(50):
                found.append((dtype, Pair(case["name"], case["family"], *arrays), mpmath.mpf(case["kl"])))
    return found


def accuracy(folder: Path | None) -> list[dict[str, Any]]:
    """Largest relative error, negative values and failures, by dtype, family and library."""
    pairs = stored_pairs(folder)
    for seed in SEEDS:
        for dtype in (np.float64, np.float32):
            pairs += [(np.dtype(dtype).name, pair, true_kl(*pair.arrays)) for pair in hard_pairs(seed, dtype)]
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for dtype, pair, truth in pairs:
        for library, function in LIBRARIES.items():
            key = (dtype, pair.family, library)
            row = rows.setdefault(
                key,
                dict(zip(("dtype", "family", "library"), key, strict=True))
                | {"pairs": 0, "worst_relative_error": 0.0, "negative": 0, "failed": 0},
            )
            row["pairs"] += 1
            try:
                value = function(*pair.arrays)
            except (ValueError, np.linalg.LinAlgError, RuntimeError):
                row["failed"] += 1
                continue
            row["negative"] += value < 0
            error = relative_error(value, truth) if np.isfinite(value) else float("inf")
            row["worst_relative_error"] = max(row["worst_relative_error"], min(error, 1e300))
    return list(rows.values())


def gradient_accuracy() -> list[dict[str, Any]]:
    """Largest relative error (Frobenius) of the gradients by both means and covariances."""
    rows: dict[tuple[str, str, str], float] = {}
    for dtype in (np.float64, np.float32):
        for pair in hard_pairs(SEEDS[0], dtype):
            if pair.family not in ("near", "near_cond") or "1e-13" in pair.name:
                continue
            truth = true_gradients(*pair.arrays)
            for library in ("vaekit", "torch.distributions"):
                leaves = [torch.tensor(a, requires_grad=True) for a in pair.arrays]
                if library == "vaekit":
                    value = kl_divergence((leaves[0], leaves[1]), (leaves[2], leaves[3]))
                else:
                    value = torch_kl(MultivariateNormal(*leaves[:2]), MultivariateNormal(*leaves[2:]))
                for found, exact in zip(torch.autograd.grad(value, leaves), truth, strict=True):
                    with mpmath.workdps(60):
                        symmetric = (found + found.mT) / 2 if found.dim() == 2 else found.unsqueeze(-1)
                        apart = mpmath.matrix(symmetric.tolist()) - exact
                        error = float(mpmath.norm(apart, 2) / mpmath.norm(exact, 2))
                    key = (np.dtype(dtype).name, pair.family, library)
                    rows[key] = max(rows.get(key, 0.0), error)
    names = ("dtype", "family", "library")
    return [dict(zip(names, key, strict=True)) | {"worst_relative_error": e} for key, e in rows.items()]


def transport_accuracy() -> dict[str, float]:
    """2-Wasserstein between S and S (1 + 1e-8), diagonal so that the truth is at hand."""
    variances = np.array([0.3, 1.0, 2.5, 7.0])
    other = variances * (1 + 1e-8)
    with mpmath.workdps(50):
        pairs = [(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(variances, other, strict=True)]
        truth = mpmath.sqrt(mpmath.fsum((mpmath.sqrt(a) - mpmath.sqrt(b)) ** 2 for a, b in pairs))
    zero = np.zeros(4)
    ours = float(
        wasserstein(Gaussian(zero, covariance=np.diag(variances)), Gaussian(zero, covariance=np.diag(other)))
    )
    usual = np.trace(np.diag(variances) + np.diag(other) - 2 * np.diag(np.sqrt(variances * other)))
    return {
        "vaekit": relative_error(ours, truth),
        "usual formula": relative_error(float(np.sqrt(max(usual, 0.0))), truth),
    }


def best_time(function: Callable[[], object], budget: float) -> float:
    """Seconds of the fastest of many calls within a budget."""
    function()
    best, spent = float("inf"), 0.0
    while spent < budget:
        start = time.perf_counter()
        function()
        took = time.perf_counter() - start
        best, spent = min(best, took), spent + took
    return best


def random_pair(k: int, batch: int) -> list[torch.Tensor]:
    """Means and covariances of well-conditioned pairs that are not close."""
    generator = torch.Generator().manual_seed(k + batch)
    shape = (batch,) if batch > 1 else ()

    def covariance() -> torch.Tensor:
        A = torch.randn(*shape, k, k, generator=generator, dtype=torch.float64)
        S = A @ A.mT / k + torch.eye(k, dtype=torch.float64)
        return (S + S.mT) / 2

    def mean() -> torch.Tensor:
        return torch.randn(*shape, k, generator=generator, dtype=torch.float64)

    return [mean(), covariance(), mean(), covariance()]


def ours(mean_p: torch.Tensor, S_p: torch.Tensor, mean_q: torch.Tensor, S_q: torch.Tensor) -> torch.Tensor:
    return kl_divergence((mean_p, S_p), (mean_q, S_q))


def ours_checked(
    mean_p: torch.Tensor, S_p: torch.Tensor, mean_q: torch.Tensor, S_q: torch.Tensor
) -> torch.Tensor:
    """From raw arrays: the Gaussians are made, and checked, as torch checks its own."""
    return kl_divergence(Gaussian(mean_p, covariance=S_p), Gaussian(mean_q, covariance=S_q))


def theirs(mean_p: torch.Tensor, S_p: torch.Tensor, mean_q: torch.Tensor, S_q: torch.Tensor) -> torch.Tensor:
    return torch_kl(MultivariateNormal(mean_p, S_p), MultivariateNormal(mean_q, S_q))


def forward_and_backward(
    function: Callable[..., torch.Tensor], arguments: list[torch.Tensor]
) -> Callable[[], object]:
    leaves = [t.detach().clone().requires_grad_() for t in arguments]
    return lambda: torch.autograd.grad(function(*leaves).sum(), leaves)


def speed(budget: float) -> list[dict[str, Any]]:
    """Seconds per call from full covariances, and the ratio to torch.distributions in the same run."""
    rows: list[dict[str, Any]] = []
    torch.set_num_threads(1)
    for k, batch in [(3, 1), *SHAPES]:
        arguments = random_pair(k, batch)
        ways: dict[str, tuple[Callable[..., torch.Tensor], bool]] = {
            "torch.distributions": (theirs, False),
            TORCH: (ours, False),
        }
        if numba_is_installed() and k <= 16:
            ways |= ({FAST: (ours, True)} if batch > 1 else {}) | {ARRAYS: (ours_checked, True)}
        base: tuple[float, float] | None = None
        for library, (function, lanes) in ways.items():
            with lanes_switched(lanes):
                forward = best_time(partial(function, *arguments), budget)
                both = best_time(forward_and_backward(function, arguments), budget)
            base = base or (forward, both)
            row: dict[str, Any] = {
                "dimension": k,
                "batch": batch,
                "library": library,
                "forward_seconds": forward,
                "forward_backward_seconds": both,
                "forward_ratio": base[0] / forward,
                "forward_backward_ratio": base[1] / both,
            }
            aim = targets(k, batch, library)
            rows.append(row if aim is None else row | {"forward_ratio_target": aim})
    torch.set_num_threads(1)
    return rows


@contextmanager
def lanes_switched(on: bool) -> Iterator[None]:
    """With the numba kernels on or off, where there are any."""
    if numba_is_installed():
        use_lanes(on)
    try:
        yield
    finally:
        if numba_is_installed():
            use_lanes(True)


def diagonal_speed(budget: float) -> list[dict[str, Any]]:
    """Diagonal against diagonal, 20,000 x 64 in float64, beside one read of its inputs, which is the aim."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(2, 20_000, 64, generator=generator, dtype=torch.float64)
    scales = torch.rand(2, 20_000, 64, generator=generator, dtype=torch.float64) + 0.5
    leaves = [t.clone().requires_grad_() for t in (means[0], scales[0], means[1], scales[1])]

    def mine(a: torch.Tensor, s: torch.Tensor, b: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        p, q = (Gaussian(m, standard_deviation=d, validate=False) for m, d in ((a, s), (b, t)))
        return kl_divergence(p, q)

    def torchs(a: torch.Tensor, s: torch.Tensor, b: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch_kl(Independent(Normal(a, s), 1), Independent(Normal(b, t), 1))

    read = best_time(lambda: (means.sum(), scales.sum()), budget)
    rows: list[dict[str, Any]] = [{"library": "one read of the inputs", "forward_seconds": read}]
    for library, function in {"torch.distributions": torchs, TORCH: mine}.items():
        forward = best_time(partial(function, *(t.detach() for t in leaves)), budget)
        both = best_time(forward_and_backward(function, leaves), budget)
        rows.append({"library": library, "forward_seconds": forward, "forward_backward_seconds": both})
    return rows


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next(
            (x.split(":")[1].strip() for x in cpuinfo.read_text().splitlines() if "model name" in x), model
        )
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    if numba_is_installed():
        import numba

        versions["numba"] = numba.__version__
    return {"processor": model, "cores": os.cpu_count(), "load": os.getloadavg()[0], **versions}


def main() -> None:
    """Measure, write the JSON, and make the README from it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, required=True, help="where the results go, as JSON")
    parser.add_argument(
        "--hard-cases", type=Path, help="a folder with cases_float64.json and cases_float32.json"
    )
    parser.add_argument("--budget", type=float, default=1.0, help="seconds per timing")
    options = parser.parse_args()
    started = time.perf_counter()
    results = {
        "machine": machine(),
        "accuracy": accuracy(options.hard_cases),
        "gradients": gradient_accuracy(),
        "wasserstein_at_1e-8": transport_accuracy(),
        "speed": speed(options.budget),
        "diagonal": diagonal_speed(options.budget),
    }
    results["seconds"] = round(time.perf_counter() - started, 1)
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    write_readme(results, options.output.with_name("README.md"))


if __name__ == "__main__":
    main()

"""The README of this benchmark, made from its results."""

from pathlib import Path
from typing import Any

HEAD = """# Divergences between Gaussians: accuracy and speed

Made by `python benchmarks/gaussian/run.py --output benchmarks/gaussian/results.json`; every number below
comes from that file. Measured on {processor} ({cores} cores, load {load:.1f} at the start), Python {python},
torch {torch}, NumPy {numpy}{numba}, in {seconds:.0f} seconds.
"""


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def ordered(rows: list[dict[str, Any]], name: str) -> list[Any]:
    """The distinct values of a column in the order of their first appearance."""
    return list(dict.fromkeys(row[name] for row in rows))


def accuracy_table(rows: list[dict[str, Any]], dtype: str) -> str:
    """Families down, libraries across."""
    rows = [row for row in rows if row["dtype"] == dtype]
    libraries = ordered(rows, "library")

    def cell(family: str, library: str) -> str:
        row = next(r for r in rows if r["family"] == family and r["library"] == library)
        notes = [f"{row[name]} {name}" for name in ("negative", "failed") if row.get(name)]
        return f"{row['worst_relative_error']:.1e}" + (f" ({', '.join(notes)})" if notes else "")

    counts = {row["family"]: row.get("pairs") for row in rows}
    body = [
        [family + (f" ({counts[family]})" if counts[family] else ""), *(cell(family, x) for x in libraries)]
        for family in ordered(rows, "family")
    ]
    return table(["family (pairs)", *libraries], body)


def with_target(value: str, target: float | None, form: str, met: bool) -> str:
    """A measured value with what it aims at, in bold where it falls short."""
    if target is None:
        return value
    return f"{value if met else f'**{value}**'} [{target:{form}}]"


def speed_table(rows: list[dict[str, Any]]) -> str:
    """One row per shape and library; what is aimed at stands in brackets."""

    def cells(row: dict[str, Any], name: str) -> list[str]:
        seconds, ratio = row[f"{name}_seconds"], row[f"{name}_ratio"]
        limit, least = row.get(f"{name}_seconds_target"), row.get(f"{name}_ratio_target")
        microseconds = None if limit is None else limit * 1e6
        return [
            with_target(f"{seconds * 1e6:,.0f}", microseconds, ",.0f", limit is None or seconds <= limit),
            with_target(f"{ratio:.1f}", least, "g", least is None or ratio >= least),
        ]

    body = [
        [
            str(row["dimension"]),
            f"{row['batch']:,}",
            row["library"],
            *cells(row, "forward"),
            *cells(row, "forward_backward"),
        ]
        for row in rows
    ]
    return table(["k", "batch", "library", "forward, µs", "ratio", "forward and backward, µs", "ratio"], body)


def diagonal_table(rows: list[dict[str, Any]]) -> str:
    """Milliseconds by library."""
    names = ("forward_seconds", "forward_backward_seconds")
    body = [
        [row["library"], *(f"{row[name] * 1e3:.1f}" if name in row else "" for name in names)] for row in rows
    ]
    return table(["", "forward, ms", "forward and backward, ms"], body)


def write_readme(results: dict[str, Any], path: Path) -> None:
    """Write the page."""
    machine = results["machine"]
    numba = f", numba {machine['numba']}" if "numba" in machine else ""
    parts = [HEAD.format(**machine | {"numba": numba, "seconds": results["seconds"]})]
    parts.append("## Largest relative error of the KL, by family\n")
    for dtype in ("float64", "float32"):
        parts.append(f"{dtype} inputs, against many digits computed with mpmath.\n")
        parts.append(accuracy_table(results["accuracy"], dtype) + "\n")
    parts.append("## Largest relative error of its gradients\n")
    for dtype in ("float64", "float32"):
        parts.append(f"{dtype} inputs, differences from 0.1 to 1e-9.\n")
        parts.append(accuracy_table(results["gradients"], dtype) + "\n")
    transport = results["wasserstein_at_1e-8"]
    parts.append(
        "2-Wasserstein between covariances that differ by 1e-8: relative error "
        f"{transport['vaekit']:.1e}; the usual formula: {transport['usual formula']:.1e}.\n"
    )
    parts.append("## Speed from full covariances, float64, one thread\n")
    parts.append(
        "The ratio is the time of `torch.distributions` in the same run over that of the row. What is aimed at stands "
        "in brackets; bold where it is missed. Rows with the check make `Gaussian(mean, covariance=S)` first, which "
        "says whether `S` is a covariance, as `torch.distributions` does; the others take `(mean, S)` as it is.\n"
    )
    parts.append(speed_table(results["speed"]) + "\n")
    parts.append("Diagonal against diagonal, 20,000 x 64; the aim is one read of the inputs.\n")
    parts.append(diagonal_table(results["diagonal"]) + "\n")
    path.write_text("\n".join(parts))

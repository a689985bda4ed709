"""``vaekit kl P Q``: the divergence between two Gaussians, and what else there is to say about the pair."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from vaekit.cli.options import JsonFlag
from vaekit.cli.printing import print_json

if TYPE_CHECKING:
    from vaekit.gaussian import Gaussian

__all__ = ["Kl"]

_HELP = (
    "{}: .npz or .json with mean and covariance, scale_tril, precision, variance, standard_deviation, scale, "
    "or factor and diagonal; or samples, .csv or .npy."
)


@dataclass(frozen=True, kw_only=True)
class Kl:
    """Compare two Gaussians: print KL(P || Q) in nats, never negative, right to the last digits."""

    p: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="P", help=_HELP.format("A Gaussian"))]
    q: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="Q", help="Another, in the same way.")]
    all: Annotated[bool, tyro.conf.arg(help="Print the whole family of divergences and distances.")] = False
    steps: Annotated[
        bool, tyro.conf.arg(help="Print the derivation line by line, and the terms, with these numbers.")
    ] = False
    json: JsonFlag = False

    def run(self) -> int:
        """Read, compare and print."""
        from vaekit.errors import DataError
        from vaekit.gaussian.exceptions import GaussianError

        try:
            document = self._document()
        except GaussianError as error:
            raise DataError(str(error)) from error
        for note in document.get("notes", ()):
            print(f"vaekit: {note}", file=sys.stderr)
        if self.json:
            print_json(document)
        else:
            print(_as_text(document))
        return 0

    def _document(self) -> dict[str, Any]:
        from vaekit.gaussian import explain, kl_divergence
        from vaekit.gaussian.files import read_gaussian

        p, q = read_gaussian(self.p), read_gaussian(self.q)
        document: dict[str, Any] = {
            "p": {"file": str(self.p), "parameterisation": p.parameterisation},
            "q": {"file": str(self.q), "parameterisation": q.parameterisation},
            "dimension": p.dimension,
            "kl": _number(kl_divergence(p, q), "nats"),
        }
        if document["kl"]["infinite"]:
            document["notes"] = [*_flat(self.p, p), *_flat(self.q, q)]
        if self.steps:
            explanation = explain(p, q)
            document["steps"] = explanation.as_dictionary() | {"text": str(explanation)}
            document["derivation"] = _derivation(p, q)
        if self.all:
            document["family"] = _family(p, q)
        return document


def _flat(path: Path, gaussian: "Gaussian") -> list[str]:
    """Say in which way a Gaussian is flat, so that its divergence from another one is infinite; nothing of others."""
    import numpy as np

    from vaekit.gaussian.files import count_samples

    k, samples = gaussian.dimension, count_samples(path)
    rank = int(np.linalg.matrix_rank(np.asarray(gaussian.covariance), hermitian=True))
    if rank == k:
        return []
    why, advice = (
        "",
        "give a covariance of full rank, or leave out the coordinates that follow from the others",
    )
    if samples is not None and samples <= k:
        why = f", since {samples} samples span at most {samples - 1}"
        advice = f"give more than {k} samples, better several times as many, or fewer coordinates"
    return [
        f"{path}: the covariance has rank {rank} in {k} dimensions{why}: the Gaussian is flat, and a divergence "
        f"between Gaussians is infinite where one has width and the other has none; {advice}"
    ]


def _derivation(p: "Gaussian", q: "Gaussian") -> dict[str, Any]:
    """The lines of the derivation, which only a pair of covariances that can be inverted has."""
    from vaekit.classroom import derive, render_derivation
    from vaekit.errors import UsageError

    try:
        lines = derive(p.mean, p.covariance, mean_q=q.mean, cov_q=q.covariance)
    except UsageError as error:
        return {"lines": [], "text": f"no derivation: {error}"}
    return {
        "lines": [
            {"key": step.key, "formula": step.text, "reason": step.reason, "value": v} for step, v in lines
        ],
        "text": render_derivation(lines),
    }


def _family(p: "Gaussian", q: "Gaussian") -> dict[str, dict[str, Any]]:
    """Every member by its name, with its unit."""
    import vaekit.gaussian as family

    found = {
        "kl(P, Q)": _number(family.kl_divergence(p, q), "nats"),
        "kl(Q, P)": _number(family.kl_divergence(q, p), "nats"),
        "jeffreys": _number(family.jeffreys(p, q), "nats"),
        "jensen_shannon, geometric": _number(family.jensen_shannon(p, q), "nats"),
        "renyi, alpha 1/2": _number(family.renyi(p, q, 0.5), "nats"),
        "renyi, alpha 2": _number(family.renyi(p, q, 2.0), "nats"),
        "chi_squared": _number(family.chi_squared(p, q)),
        "bhattacharyya": _number(family.bhattacharyya(p, q), "nats"),
        "hellinger": _number(family.hellinger(p, q)),
        "wasserstein": _number(family.wasserstein(p, q), "units of the data"),
    }
    geodesic, variation = family.fisher_rao_bounds(p, q), family.total_variation_bounds(p, q)
    if geodesic.lower == geodesic.upper:
        found["fisher_rao"] = _number(geodesic.lower)
    else:
        found["fisher_rao, at least"] = _number(geodesic.lower)
        found["fisher_rao, at most"] = _number(geodesic.upper)
    found["total_variation, at least"] = _number(variation.lower)
    found["total_variation, at most"] = _number(variation.upper)
    found["entropy(P)"] = _number(family.entropy(p), "nats")
    found["entropy(Q)"] = _number(family.entropy(q), "nats")
    found["cross_entropy(P, Q)"] = _number(family.cross_entropy(p, q), "nats")
    return found


def _number(value: Any, unit: str = "") -> dict[str, Any]:
    """A value for both printings: JSON has no infinity, so the text says it."""
    number = float(value)
    return {
        "value": number,
        "text": f"{number:.12g}",
        "infinite": number in (float("inf"), float("-inf")),
    } | ({"unit": unit} if unit else {})


def _as_text(document: dict[str, Any]) -> str:
    lines = []
    if "steps" in document:
        lines += [document["derivation"]["text"], "", document["steps"]["text"]]
    if "family" in document:
        entries = document["family"]
        width = max(map(len, entries))
        for name, entry in entries.items():
            lines.append(f"{name:{width}s}  {entry['text']} {entry.get('unit', '')}".rstrip())
    return "\n".join(lines) or f"{document['kl']['text']} nats"

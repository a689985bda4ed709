"""Held-out nats of the default settings and of others, over images and tables: which defaults serve all of them?

    python benchmarks/defaults/run.py --data-dir DIR --name after [--output benchmarks/defaults/results.json]
    python benchmarks/defaults/run.py --data-dir DIR --name "dropout" --set network=mlp:dropout=0.1 --data digits iris

``DIR`` holds ``mnist/``, ``fashion_mnist/``, ``tables/``, and ``outliers/`` with ADBench's ``.npz`` files. Without
``--set`` the defaults are measured; ``--set parameter=value ...`` changes some of ``VariationalAutoencoder``'s. Rows
are divided as ``vaekit fit`` divides them: training, validation, test. Printed for each data set, means over the
seeds: log p of the test rows in nats with its standard error, the advantage over the strongest baseline, active latents
(KL above 0.01 nat), the accuracy of a logistic regression on the latents beside one on as many principal components,
and the seconds of the fit. Nats of two settings compare only where both likelihoods have the same measure; the last
column says which.
"""

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vaekit import VariationalAutoencoder
from vaekit.data import Dataset, from_object, partition, read
from vaekit.reproductions import describe

ROWS_OF_IMAGES, ROWS_OF_ADULT, ACTIVE = 10_000, 4_000, 0.01


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--name", required=True, help="of the settings, in the table")
    parser.add_argument("--set", nargs="*", default=[], metavar="PARAMETER=VALUE")
    parser.add_argument("--data", nargs="*", choices=list(LOADERS), default=list(LOADERS))
    parser.add_argument(
        "--seeds", type=int, default=0, help="splits and fits; by default 1 of images, 3 of tables"
    )
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--output", type=Path, help="JSON to add the rows to")
    options = parser.parse_args()
    settings = {name: _value(text) for name, text in (pair.split("=", 1) for pair in options.set)}
    rows = []
    for name in options.data:
        data = LOADERS[name](options.data_dir)
        seeds = options.seeds or (1 if data.kind == "images" else 3)
        rows.append(_mean([measure(data, settings, seed, options.samples) for seed in range(seeds)]))
        rows[-1] = {"data": name, "settings": options.name, "set": options.set, "seeds": seeds, **rows[-1]}
        print(_line(rows[-1]), flush=True)
    if options.output:
        kept = json.loads(options.output.read_text())["rows"] if options.output.exists() else []
        measured = {(row["data"], row["settings"]) for row in rows}
        kept = [row for row in kept if (row["data"], row["settings"]) not in measured]
        told = describe("torch", "scikit-learn", "numpy")
        options.output.write_text(json.dumps({**told, "rows": kept + rows}, indent=1) + "\n")


def measure(data: Dataset, settings: dict[str, Any], seed: int, samples: int) -> dict[str, Any]:
    """Fit one model, and return its numbers on the test rows."""
    train, validation, test = partition(data, seed)
    vae = VariationalAutoencoder(random_state=seed, **settings)
    started = time.perf_counter()
    vae.fit(train, validation=validation)
    seconds = time.perf_counter() - started
    found = vae.evaluate(test, samples=samples, train=train, split="test")
    best = max(found.baselines, key=lambda baseline: baseline.log_likelihood.mean)
    return {
        "log_likelihood": found.log_likelihood.mean,
        "standard_error": found.log_likelihood.standard_error,
        "elbo": found.elbo.mean,
        "best_baseline": best.name,
        "advantage": best.advantage.mean,
        "advantage_error": best.advantage.standard_error,
        "active": sum(kl > ACTIVE for kl in found.kl_per_dimension or ()),
        **_accuracies(vae, train, test),
        "epochs": len(vae.history_.epochs),
        "best_epoch": vae.history_.best_epoch,
        "seconds": seconds,
        "measure": str(vae.sentence_.likelihood)[:60],
    }


def _accuracies(vae: VariationalAutoencoder, train: Dataset, test: Dataset) -> dict[str, float | None]:
    """Return the accuracies of a linear classifier on latents, and on as many principal components."""
    if train.labels is None or len(set(train.labels.tolist())) > 50:
        return {"accuracy": None, "accuracy_of_components": None}
    flat, held_out = (part.values.reshape(len(part), -1).astype(float) for part in (train, test))
    if np.isnan(flat).any() or np.isnan(held_out).any():  # components know no missing cells
        return {"accuracy": None, "accuracy_of_components": None}
    if vae.schema_.kind == "table":
        scaler = StandardScaler().fit(flat)
        flat, held_out = scaler.transform(flat), scaler.transform(held_out)
    components = PCA(min(vae.latent, *flat.shape), random_state=0).fit(flat)
    views = {
        "accuracy": (vae.transform(train), vae.transform(test)),
        "accuracy_of_components": (components.transform(flat), components.transform(held_out)),
    }
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return {
        name: float(classifier.fit(seen, train.labels).score(unseen, test.labels))
        for name, (seen, unseen) in views.items()
    }


def _mean(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means of numbers over the seeds, and the first of everything else."""
    first = results[0]
    return {
        key: float(np.mean([result[key] for result in results])) if isinstance(value, int | float) else value
        for key, value in first.items()
    }


def _line(row: dict[str, Any]) -> str:
    accuracy = (
        "      -"
        if row["accuracy"] is None
        else f"{row['accuracy']:.3f} PCA {row['accuracy_of_components']:.3f}"
    )
    return (
        f"{row['data']:14} {row['settings']:24} log p {row['log_likelihood']:9.3f} +- {row['standard_error']:.3f}  "
        f"{row['advantage']:+8.3f} +- {row['advantage_error']:.3f} over {row['best_baseline']:36}  "
        f"active {row['active']:4.1f}  accuracy {accuracy:15}  {row['best_epoch']:.0f} of {row['epochs']:.0f} epochs  "
        f"{row['seconds']:6.1f} s  {row['measure']}"
    )


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None if text == "none" else text


def _of_scikit_learn(name: str) -> Dataset:
    data, labels = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True, as_frame=True)
    return from_object(data, labels=np.asarray(labels))


def _mnist(folder: Path) -> Dataset:
    data = read("mnist", data_dir=folder / "mnist")
    return data.take(np.arange(ROWS_OF_IMAGES))


def _fashion(folder: Path) -> Dataset:
    data = read(folder / "fashion_mnist" / "t10k-images-idx3-ubyte.gz")
    with gzip.open(folder / "fashion_mnist" / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read()[8:], np.uint8)  # after the header of an IDX file
    return from_object(data.values, labels=labels)


def _auto_mpg(folder: Path) -> Dataset:
    frame = pd.read_csv(folder / "tables" / "auto_mpg.csv", sep=r"\s+", header=None, na_values="?").dropna()
    return from_object(frame[[0, 2, 3, 4, 5]].astype(float), labels=frame[7].to_numpy())


def _adult(folder: Path) -> Dataset:
    frame = pd.read_csv(folder / "tables" / "adult.data", header=None, skipinitialspace=True).head(
        ROWS_OF_ADULT
    )
    return from_object(frame.drop(columns=[2, 14]).rename(columns=str), labels=frame[14].to_numpy())


def _adbench(folder: Path, name: str) -> Dataset:
    return from_object(np.load(folder / "outliers" / name)["X"].astype(float))


LOADERS: dict[str, Any] = {
    "digits": lambda folder: read("digits"),
    "mnist": _mnist,
    "fashion-mnist": _fashion,
    "breast-cancer": lambda folder: _of_scikit_learn("breast_cancer"),
    "wine": lambda folder: _of_scikit_learn("wine"),
    "diabetes": lambda folder: _of_scikit_learn("diabetes"),
    "iris": lambda folder: _of_scikit_learn("iris"),
    "auto-mpg": _auto_mpg,
    "adult": _adult,
    "pendigits": lambda folder: _adbench(folder, "28_pendigits.npz"),
    "satellite": lambda folder: _adbench(folder, "30_satellite.npz"),
}

if __name__ == "__main__":
    main()

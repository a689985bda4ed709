"""What a patience costs and saves: fits to the end, and where each patience would have stopped them.

    python benchmarks/defaults/patience.py --data-dir DIR --output benchmarks/defaults/patience.json

Each data set is fitted with the default settings but for the patience, of which there is none, over two seeds, on one
thread. Of the curve of the validation bound follows for each share of the epochs, taken as the patience, how many
epochs there would have been, and by how many nats the best bound of those is below the best of all.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from run import LOADERS, describe, partition

from vaekit import VariationalAutoencoder

NAMES = ("iris", "wine", "diabetes", "auto-mpg", "breast-cancer", "digits", "adult", "pendigits", "satellite")
SHARES = (0.1, 0.15, 0.2, 0.25, 0.33)
FEWEST = 10  # epochs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--data", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(options.seeds):
        for name in options.data:
            train, validation, _ = partition(LOADERS[name](options.data_dir), seed)
            vae = VariationalAutoencoder(random_state=seed, patience=None).fit(train, validation=validation)
            curve = [
                epoch.validation_bound for epoch in vae.history_.epochs if epoch.validation_bound is not None
            ]
            rows.append({"data": name, "seed": seed, **stops(curve)})
            print(rows[-1], flush=True)
            if options.output:
                told = describe("torch", "vaekit")
                options.output.write_text(json.dumps({**told, "rows": rows}, indent=1) + "\n")


def stops(curve: list[float]) -> dict[str, Any]:
    """Return where each patience stops a curve, and what that loses."""
    found = {}
    for share in SHARES:
        patience = max(FEWEST, round(share * len(curve)))
        done, best = 0, 0
        while done < len(curve) and done - best < patience:
            done += 1
            best = max(range(done), key=curve.__getitem__) + 1
        found[f"{share:g}"] = {"epochs": done, "loses_nats": round(max(curve) - curve[best - 1], 3)}
    return {
        "epochs": len(curve),
        "best_epoch": curve.index(max(curve)) + 1,
        "best_bound": round(max(curve), 3),
        "by_patience": found,
    }


if __name__ == "__main__":
    main()

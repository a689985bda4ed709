"""Peak memory of one epoch on an .npy larger than a limit, in a child process.

    python benchmarks/memory/run.py                 # 2 GB
    python benchmarks/memory/run.py --gigabytes 10 --verbs fit --write benchmarks/memory/10gb.json

What is counted is the largest resident set of the child (VmHWM), pages of mapped files included. The system could take
those back at any time, so that leaving them out would be fair too; but they are what `top`, `ulimit` and a batch
system's accounts show, and a limit that holds with them holds anyhow. The share without them (RssAnon) and their own
(RssFile, the libraries' code among them) are measured beside it, twenty times a second. Linux only: all are read from
/proc.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

COLUMNS, LATENT = 784, 16
ASKED = 2e9  # bytes: the peak that is to hold for a file of 10 GB


def make_file(path: Path, size: float) -> int:
    """Write rows of a linear model with noise, some at a time; give their number."""
    rows = int(size / (4 * COLUMNS))
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, COLUMNS))
    generator = np.random.default_rng(0)
    loadings = generator.normal(size=(LATENT, COLUMNS)).astype(np.float32)
    for start in range(0, rows, 8192):
        part = array[start : start + 8192]
        part[:] = generator.standard_normal((len(part), LATENT), dtype=np.float32) @ loadings
        part += generator.standard_normal(part.shape, dtype=np.float32)
    array.flush()
    return rows


def memory(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """Fields of /proc in bytes; empty when the process is gone."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return {}
    fields = [line.split() for line in lines if line.startswith(("VmHWM", "RssAnon", "RssFile"))]
    return {name.rstrip(":"): int(kilobytes) * 1024 for name, kilobytes, _ in fields}


def watch(command: list[str]) -> tuple[dict[str, int], float, str]:
    """Run a command; give its peaks, its time, and what it said."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    peaks: dict[str, int] = {}
    while process.poll() is None:
        for name, value in memory(process).items():
            peaks[name] = max(peaks.get(name, 0), value)
        time.sleep(0.05)
    said = process.stderr.read().decode() if process.stderr else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}: {said}")
    return peaks, time.perf_counter() - started, said


def main() -> None:
    """Make the file, fit an epoch, print and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the file")
    parser.add_argument("--memory-limit", help="for data; by default half the file, and at most 1 GB")
    parser.add_argument("--folder", help="for the file and the model; by default that of temporary files")
    parser.add_argument(
        "--verbs", nargs="+", default=["fit", "encode", "reconstruct"], help="fit, and others after it"
    )
    parser.add_argument("--file", type=Path, help="an .npy that is there already, instead of a new one")
    parser.add_argument(
        "--more", default="", help="options of fit, in one text, such as '--network mlp:hidden=64'"
    )
    parser.add_argument("--write", type=Path, help="a file for the results")
    options = parser.parse_args()
    size = options.gigabytes * 1e9
    limit = options.memory_limit or f"{min(1e9, size / 2):.0f}"
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path, model = options.file or Path(folder) / "big.npy", Path(folder) / "big.vae"
        rows = make_file(path, size) if options.file is None else len(np.load(path, mmap_mode="r"))
        size = path.stat().st_size
        vaekit = [sys.executable, "-m", "vaekit"]
        common = ["--memory-limit", limit]
        verbs = {
            "fit": [
                "fit",
                path,
                "-o",
                model,
                "--epochs",
                "1",
                "--samples",
                "2",
                *common,
                *options.more.split(),
            ],
            "encode": ["encode", model, path, "-o", Path(folder) / "codes.npy", *common],
            "reconstruct": ["reconstruct", model, path, "-o", Path(folder) / "again.npy", *common],
        }
        results = {}
        for verb, arguments in verbs.items():
            if verb not in options.verbs:
                continue
            peaks, seconds, said = watch(vaekit + [str(argument) for argument in arguments])
            results[verb] = {"seconds": round(seconds, 1), **{k: v / 1e9 for k, v in peaks.items()}}
            if verb == "fit":
                results[verb]["plan"] = said.strip()
    machine = {"processors": os.cpu_count(), "python": platform.python_version(), "torch": version("torch")}
    facts = {
        "rows": rows,
        "bytes": size,
        "memory_limit": limit,
        "options": options.more,
        "gigabytes": results,
        "machine": machine,
    }
    text = json.dumps(facts, indent=2) + "\n"
    print(text)
    if options.write is not None:
        options.write.write_text(text)
    held = all(result["VmHWM"] < ASKED / 1e9 for result in results.values())
    print(f"peak resident memory, mapped pages included: {'under' if held else 'OVER'} {ASKED / 1e9:g} GB")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    if not Path("/proc/self/status").exists():
        raise SystemExit("needs Linux's /proc")
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()

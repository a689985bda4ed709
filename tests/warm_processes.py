"""Processes that begin with torch and vaekit imported already: real ones, a tenth of a second after they are asked for.

A server imports once what most of them need, and every process is a fork of it, which has computed nothing yet.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["context_of_forks", "start_vaekit", "vaekit_in_a_process"]

_MODULES = [
    *("torch", "torch.distributed", "torch._dynamo"),  # torch's optimisers import the compiler
    *("sklearn.datasets", "vaekit.application", "vaekit.report", "vaekit.cli.progress"),
    "training.tasks_of_ranks",
]


def context_of_forks() -> Any:
    """The context whose processes are forks of the server."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_MODULES)
    return context


def vaekit_in_a_process(
    *arguments: object, folder: Path, packages: list[Path] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder, with folders of further packages on its path, and wait for its end."""
    with tempfile.TemporaryDirectory() as place:
        printed = (os.path.join(place, "out"), os.path.join(place, "err"))
        process = start_vaekit(arguments, printed, folder=folder, packages=packages)
        process.join()
        return subprocess.CompletedProcess(
            [str(a) for a in arguments], process.exitcode, *(Path(name).read_text() for name in printed)
        )


def start_vaekit(
    arguments: Any,
    printed: tuple[Any, Any],
    *,
    folder: Path,
    packages: list[Path] | None = None,
    epochs: Any = None,
) -> Any:
    """Start the command line; what it prints goes into two files, and the number of each epoch into a pipe."""
    process = context_of_forks().Process(
        target=_run,
        args=([str(a) for a in arguments], printed, folder, [str(p) for p in packages or ()], epochs),
    )
    process.start()
    return process


def _run(
    arguments: list[str], printed: tuple[Any, Any], folder: Path, packages: list[str], epochs: Any
) -> None:
    from vaekit.cli import main, progress

    for name, descriptor in zip(printed, (1, 2), strict=True):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.chdir(folder)
    sys.path[:0] = packages
    if epochs is not None:
        progress.Progress.epoch = lambda self, metrics, is_best: epochs.send(metrics.epoch)  # type: ignore[method-assign]
    sys.exit(main(arguments))

"""Run an experiment on tables, step by step, in one sitting or in several."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vaekit.reproductions.figures import beside
from vaekit.reproductions.sittings import Sittings, describe
from vaekit.reproductions.tables.table_experiment import TableExperiment
from vaekit.reproductions.tables.table_files import find_file
from vaekit.training import StopRequest, stopping_on

__all__ = ["run_steps"]


def run_steps(
    experiment: TableExperiment,
    *,
    data_dir: Path | None,
    seed: int,
    folder: Path | None,
    resume: bool,
    stop: StopRequest,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure the steps of an experiment that are not noted yet, and put the figures beside those to compare with.

    Parameters
    ----------
    experiment
        The experiment.
    data_dir
        The folder of the data.
    seed
        Its seed.
    folder
        The folder to note finished steps in until the experiment is finished; None keeps nothing.
    resume
        Go on with the steps that are noted there.
    stop
        A request to stop, which is looked at before every step. A step is never interrupted.
    say
        Called with a line before and after every step.

    Returns
    -------
    dict
        As of :func:`vaekit.reproductions.reproduce`, with ``steps`` and ``steps_of_the_protocol``.

    Raises
    ------
    DataError
        If a file is missing.
    CheckpointError
        If ``folder`` holds an unfinished run and ``resume`` was not given, or the run of another experiment or seed.
    """
    for file in experiment.files:
        find_file(data_dir, file)
    here = {
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "machine": describe("torch", "numpy", "scikit-learn"),
    }
    identity = {"reproduction": experiment.name, "seed": seed}
    sittings = Sittings(folder, here, resume=resume, identity=identity)
    names, done = list(experiment.steps), 0
    with stopping_on(stop, signal.SIGINT, signal.SIGTERM):
        for name, step in experiment.steps.items():
            if not any(figure.startswith(f"{name}, ") for figure in sittings.measured):
                if stop:
                    break
                say(f"{name}: step {done + 1} of {len(names)}")
                found = step(data_dir, seed)
                sittings.measured |= {f"{name}, {figure}": value for figure, value in found.items()}
                say(f"{name}: " + ", ".join(f"{figure} {value:.4g}" for figure, value in found.items()))
                sittings.write()
            done += 1
    finished = done == len(names)
    measured = {
        figure: value
        for name in names
        for figure, value in sittings.measured.items()
        if figure.startswith(f"{name}, ")
    }
    if finished:
        measured |= experiment.summary(measured)
        sittings.remove()
    else:
        sittings.write()
    return {
        "protocol": experiment.to_json(),
        "seed": seed,
        "finished": finished,
        "steps": done,
        "steps_of_the_protocol": len(names),
        "progress": f"{done} of {len(names)} steps",
        "figures": beside(experiment.references, measured),
        "seconds": round(sittings.seconds, 1),
        "sittings": sittings.to_json(),
    }
